// Blocks one after another, each CUDA thread a fibre: it runs until it waits for others, or ends.
#include "multiprocessor.h"

#include <pthread.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/time.h>

#include <algorithm>
#include <numeric>
#include <string>
#include <utility>
#include <vector>

#include "context.h"

Running running;

namespace {

enum State { READY, AT_BARRIER, AT_COLLECTIVE, EXITED };

struct Fibre {
    Context context;
    char* stack = nullptr;
    emulator_index index{};
    unsigned rank = 0;
    State state = READY;
    const char *what = "", *file = "";  // where it waits
    int line = 0;
    int predicate = 0;
    unsigned mask = 0, source = 0;
    uint64_t value = 0, result = 0;
    emulator_fold fold = nullptr;
};

Fibre fibres[MOST_THREADS];
Fibre* current = nullptr;
Context scheduler;
const Launch* launch = nullptr;
emulator_index block_index, block_size, grid_size;
unsigned n_threads = 0, n_exited = 0;
constexpr unsigned WARPS = MOST_THREADS / LANES;
unsigned waiting[WARPS], exited[WARPS], beyond[WARPS];  // lanes of each warp; those beyond the block never come
bool failed = false;
pthread_t launcher;
std::string message;
uint64_t random_state = 1, block_serial = 0;
size_t static_bytes = 0;
std::vector<char> dynamic_memory;
constexpr size_t GUARD = 256, STATIC_LIMIT = 48 * 1024;

uint64_t random_number() {  // xorshift64
    random_state ^= random_state << 13;
    random_state ^= random_state >> 7;
    random_state ^= random_state << 17;
    return random_state;
}

void to_scheduler() {
    running.active = false;
    change(current->context, scheduler);
}

void to_fibre(Fibre& fibre) {
    current = &fibre;
    running.thread = fibre.rank;
    running.stack = reinterpret_cast<uintptr_t>(fibre.stack);
    running.active = true;
    change(scheduler, fibre.context);
    running.active = false;
    current = nullptr;
}

void require_present(const Fibre& fibre);

void enter() {
    launch->run(launch->arguments);
    running.active = false;
    current->state = EXITED;
    ++n_exited;
    const unsigned warp = current->rank / LANES, lane = current->rank % LANES;
    exited[warp] |= 1u << lane;
    for (unsigned other = 0; other < LANES; ++other)
        if (waiting[warp] >> other & 1) require_present(fibres[warp * LANES + other]);
    to_scheduler();
}

char* new_stack() {  // with a page below it that cannot be touched
    constexpr size_t page = 4096;
    void* memory = mmap(nullptr, STACK_BYTES + page, PROT_READ | PROT_WRITE,
                        MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
    if (memory == MAP_FAILED || mprotect(memory, page, PROT_NONE)) abort();
    return static_cast<char*>(memory) + page;
}

std::string place(const Fibre& fibre) {
    return std::string(fibre.what) + " at " + fibre.file + ":" + std::to_string(fibre.line);
}

bool same_place(const Fibre& a, const Fibre& b) {
    return a.line == b.line && (a.what == b.what || !strcmp(a.what, b.what)) &&
           (a.file == b.file || !strcmp(a.file, b.file));
}

// A mask names lanes that come: a lane that has exited never will. Lanes beyond the block are forgiven, not read.
void require_present(const Fibre& fibre) {
    const unsigned missing = fibre.mask & exited[fibre.rank / LANES];
    if (missing) fail("%s: its mask names lane %d, which has exited", place(fibre).c_str(), __builtin_ctz(missing));
}

// Let a group of lanes go on once all that its mask names wait at the same place.
bool complete_collective(Fibre& fibre) {
    const unsigned warp = fibre.rank / LANES, first = warp * LANES, present = fibre.mask & ~beyond[warp];
    if (present & ~waiting[warp]) return false;
    for (unsigned lane = 0; lane < LANES; ++lane) {
        const Fibre& other = fibres[first + lane];
        if ((present >> lane & 1) && (other.mask != fibre.mask || !same_place(other, fibre))) return false;
    }
    waiting[warp] &= ~present;
    uint64_t folded = 0;
    bool any = false;
    for (unsigned lane = 0; fibre.fold && lane < LANES; ++lane)
        if (present >> lane & 1) {
            folded = any ? fibre.fold(folded, fibres[first + lane].value) : fibres[first + lane].value;
            any = true;
        }
    for (unsigned lane = 0; lane < LANES; ++lane) {
        if (!(present >> lane & 1)) continue;
        Fibre& other = fibres[first + lane];
        if (!other.fold && !(present >> other.source & 1)) {
            fail("%s: thread %u reads lane %u, which %s", place(other).c_str(), other.rank, other.source,
                 fibre.mask >> other.source & 1 ? "is beyond the block" : "is not in the mask");
            return false;
        }
        other.result = other.fold ? folded : fibres[first + other.source].value;
        other.state = READY;
    }
    if (!strcmp(fibre.what, "__syncwarp") && launch->checked) checker::join_warp(first, present);
    return true;
}

// Let the block go on once all threads wait at one barrier; otherwise say who waits where.
bool complete_barrier() {
    int votes = 0;
    bool together = true;
    for (unsigned i = 0; i < n_threads; ++i) {
        together &= fibres[i].state == AT_BARRIER && same_place(fibres[i], fibres[0]);
        votes += fibres[i].predicate != 0;
    }
    if (together) {
        ++running.barriers;
        for (unsigned i = 0; i < n_threads; ++i) {
            fibres[i].state = READY;
            fibres[i].result = static_cast<uint64_t>(votes);
        }
        return true;
    }
    std::string who;
    int shown = 0;
    for (unsigned i = 0, end; i < n_threads && shown < 6; i = end, ++shown) {
        const Fibre& fibre = fibres[i];
        for (end = i + 1; end < n_threads && fibres[end].state == fibre.state && same_place(fibres[end], fibre);) ++end;
        who += (shown ? "; " : "") + std::string("thread ") + std::to_string(i);
        if (end > i + 1) who += " to " + std::to_string(end - 1);
        who += fibre.state == EXITED ? " exited" : " waits in " + place(fibre);
    }
    fail("divergent barrier: %s", who.c_str());
    return false;
}

void run_block() {
    n_exited = 0;
    static_bytes = 0;
    ++block_serial;
    for (unsigned warp = 0; warp < WARPS; ++warp) {
        const unsigned first = warp * LANES;
        beyond[warp] = first >= n_threads ? ~0u : n_threads - first >= LANES ? 0 : ~0u << (n_threads - first);
        waiting[warp] = exited[warp] = 0;
    }
    memset(dynamic_memory.data(), 0xff, dynamic_memory.size());
    if (launch->checked) {
        checker::begin_block();
        checker::add_shared("dynamic bytes", dynamic_memory.data() + GUARD, launch->dynamic_bytes, 4, 1);
    }
    std::vector<unsigned> order(n_threads);
    std::iota(order.begin(), order.end(), 0u);
    if (launch->order == 1) std::reverse(order.begin(), order.end());
    for (unsigned i = 0; i < n_threads; ++i) {
        Fibre& fibre = fibres[i];
        if (!fibre.stack) fibre.stack = new_stack();
        prepare(fibre.context, fibre.stack, STACK_BYTES, enter);
        fibre.state = READY;
        fibre.what = fibre.file = "";
        fibre.line = fibre.predicate = 0;
    }
    bool shuffle = launch->order > 1;
    while (n_exited < n_threads && !failed) {
        for (unsigned i = n_threads - 1; shuffle && i > 0; --i) std::swap(order[i], order[random_number() % (i + 1)]);
        shuffle = false;
        bool ran = false;
        for (unsigned i = 0; i < n_threads && !failed; ++i)
            if (fibres[order[i]].state == READY) {
                to_fibre(fibres[order[i]]);
                ran = true;
            }
        if (!ran && !failed) shuffle = complete_barrier() && launch->order > 1;
    }
}

void on_signal(int number, siginfo_t* info, void*) {
    if (!pthread_equal(pthread_self(), launcher)) {  // timers pick any thread of the process
        if (number == SIGVTALRM) pthread_kill(launcher, number);
        else signal(number, SIG_DFL);
        return;
    }
    if (!running.active) {
        if (number == SIGVTALRM) return;
        signal(number, SIG_DFL);  // not a kernel's doing: let it happen
        return;
    }
    if (number == SIGVTALRM) fail("ran for more than %g s", launch->seconds);
    if (number == SIGFPE) fail("integer division by zero");
    fail("segmentation fault at address %p%s", info->si_addr, launch->checked ? "" : ": run it checked to see where");
}

// Faults and endless loops of a kernel end its launch, not the process.
class Signals {
    static constexpr int numbers[4] = {SIGSEGV, SIGBUS, SIGFPE, SIGVTALRM};
    struct sigaction before[4];
    stack_t stack_before;
    itimerval timer_before;
    std::vector<char> stack = std::vector<char>(64 * 1024);

  public:
    explicit Signals(double seconds) {
        stack_t own{};
        own.ss_sp = stack.data();
        own.ss_size = stack.size();
        sigaltstack(&own, &stack_before);
        struct sigaction action {};
        action.sa_sigaction = on_signal;
        action.sa_flags = SA_SIGINFO | SA_ONSTACK | SA_NODEFER;
        for (int i = 0; i < 4; ++i) sigaction(numbers[i], &action, &before[i]);
        itimerval timer{};
        timer.it_value.tv_sec = static_cast<time_t>(seconds);
        timer.it_value.tv_usec = static_cast<suseconds_t>((seconds - static_cast<double>(timer.it_value.tv_sec)) * 1e6);
        setitimer(ITIMER_VIRTUAL, &timer, &timer_before);
    }
    ~Signals() {
        setitimer(ITIMER_VIRTUAL, &timer_before, nullptr);
        for (int i = 0; i < 4; ++i) sigaction(numbers[i], &before[i], nullptr);
        sigaltstack(&stack_before, nullptr);
    }
};

void wait(State state, const char* what, const char* file, int line) {
    current->state = state;
    current->what = what;
    current->file = file;
    current->line = line;
    if (state == AT_COLLECTIVE) {
        require_present(*current);
        waiting[current->rank / LANES] |= 1u << current->rank % LANES;
        if (complete_collective(*current)) return;
    }
    to_scheduler();
}

uint64_t collect(unsigned mask, uint64_t value, unsigned source, emulator_fold fold, const char* what, const char* file,
                 int line) {
    Fibre& fibre = *current;
    fibre.mask = mask;
    fibre.value = value;
    fibre.source = source;
    fibre.fold = fold;
    if (!(mask >> fibre.rank % LANES & 1))
        fail("%s at %s:%d: thread %u calls it with a mask that leaves itself out", what, file, line, fibre.rank);
    wait(AT_COLLECTIVE, what, file, line);
    return fibre.result;
}

}  // namespace

void fail(const char* format, ...) {
    char text[1024];
    va_list values;
    va_start(values, format);
    vsnprintf(text, sizeof text, format, values);
    va_end(values);
    if (!failed)
        message = std::string(text) + " [block (" + std::to_string(block_index.x) + ", " + std::to_string(block_index.y) +
                  ", " + std::to_string(block_index.z) + ")]";
    failed = true;
    if (current) to_scheduler();  // for good
}

extern "C" {

emulator_index emulator_thread_index() { return current->index; }
emulator_index emulator_block_index() { return block_index; }
emulator_index emulator_block_size() { return block_size; }
emulator_index emulator_grid_size() { return grid_size; }
unsigned emulator_lane() { return current->rank % LANES; }

int emulator_barrier(int predicate, const char* what, const char* file, int line) {
    current->predicate = predicate;
    wait(AT_BARRIER, what, file, line);
    return static_cast<int>(current->result);
}

uint64_t emulator_collective(unsigned mask, uint64_t value, unsigned source, emulator_fold fold, const char* what,
                             const char* file, int line) {
    return collect(mask, value, source, fold, what, file, line);
}

void emulator_sync_warp(unsigned mask, const char* file, int line) {
    collect(mask, 0, emulator_lane(), nullptr, "__syncwarp", file, line);
}

void emulator_atomic(void* address, size_t size, void* site) {
    if (launch->order > 1 && random_number() % 4 == 0) to_scheduler();  // still READY
    if (launch->checked) checker::touch(reinterpret_cast<uintptr_t>(address), size, true, true, site);
}

void emulator_enter_shared(void* bytes, size_t size, size_t grain, uint64_t* entered, const char* name) {
    if (*entered == block_serial) return;
    *entered = block_serial;
    static_bytes += (size + 15) / 16 * 16;
    if (static_bytes > STATIC_LIMIT) fail("%zu bytes of static shared memory, with %s", static_bytes, name);
    memset(bytes, 0xff, size);  // NaN
    if (launch->checked) checker::add_shared(name, bytes, size, grain, grain);
}

void* emulator_dynamic_shared() { return dynamic_memory.data() + GUARD; }

// Run a kernel; 0, or 1 with a message.
int emulator_launch(const Launch* asked, char* out, size_t most) {
    launch = asked;
    launcher = pthread_self();
    failed = false;
    message.clear();
    random_state = asked->order * 0x9e3779b97f4a7c15ull | 1;
    grid_size = {asked->grid[0], asked->grid[1], asked->grid[2]};
    block_size = {asked->block[0], asked->block[1], asked->block[2]};
    n_threads = block_size.x * block_size.y * block_size.z;
    for (unsigned i = 0; i < n_threads; ++i) {
        fibres[i].rank = i;
        fibres[i].index = {i % block_size.x, i / block_size.x % block_size.y, i / (block_size.x * block_size.y)};
    }
    dynamic_memory.assign(asked->dynamic_bytes + 2 * GUARD, 0);
    if (asked->checked) checker::begin_launch(*asked);
    {
        const Signals signals(asked->seconds);
        const uint64_t n_blocks = uint64_t(grid_size.x) * grid_size.y * grid_size.z;
        const uint64_t offset = asked->order > 1 ? random_number() % n_blocks : 0;
        for (uint64_t i = 0; i < n_blocks && !failed; ++i) {
            const uint64_t block = asked->order % 2 ? n_blocks - 1 - i : (i + offset) % n_blocks;
            block_index = {unsigned(block % grid_size.x), unsigned(block / grid_size.x % grid_size.y),
                           unsigned(block / (uint64_t(grid_size.x) * grid_size.y))};
            running.block = static_cast<uint32_t>(block);
            running.barriers = 0;
            run_block();
        }
    }
    if (asked->checked) checker::end_launch();
    snprintf(out, most, "%s", message.c_str());
    return failed;
}
}
