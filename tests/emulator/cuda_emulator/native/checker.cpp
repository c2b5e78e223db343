// Races, bounds and uninitialised shared memory, behind the calls that -fsanitize=thread and -fsanitize=undefined put
// into a kernel. Their own runtime libraries are not used: they know nothing of blocks, warps and barriers.
//
// Two accesses to the same bytes race unless both are reads, or both atomic (volatile ones count as such), or one happens
// before the other: same block, and either the same thread, or a __syncthreads in between, or within a warp a chain of
// __syncwarp. Shuffles and votes order nothing; nor do fences, so that a result is handed on by a second launch.
#include <dlfcn.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <link.h>

#include <set>
#include <string>
#include <vector>

#include "multiprocessor.h"

namespace {

struct Access {
    uint32_t block;  // plus one; 0 for none
    uint16_t thread;
    uint8_t bytes;  // of the cell, one bit each
    uint8_t atomic;
    uint32_t barriers, clock, site;
};
struct History {
    Access last, near, far;  // the latest; by another thread, of another warp if any; by another block
};
struct Cell {
    History writes, reads;
    uint8_t written;
};
struct Area {
    std::string name;
    uintptr_t start, stop;
    size_t item, grain;  // bytes of an element, and of a cell
    bool shared;
    Cell* cells;
};
struct Report {
    char what[64], where[192], who[128];
    uint64_t site, other_site;  // offsets into the kernel's library; 0 where `where` says it all
};

std::vector<Area> areas;
std::vector<Region> forbidden;
std::vector<std::pair<uintptr_t, uintptr_t>> constants;
std::vector<Report> reports;
std::set<std::string> reported;
const Area* hot[2];
uintptr_t library = 0;
uint32_t clocks[MOST_THREADS];
uint32_t seen[MOST_THREADS][LANES];  // by each thread: the clocks of its warp's lanes up to which it is ordered
constexpr size_t MOST_REPORTS = 16;

bool happens_before(const Access& a, const Access& c) {
    if (a.block != c.block) return false;
    if (a.thread == c.thread || a.barriers != c.barriers) return true;
    return a.thread / LANES == c.thread / LANES && seen[c.thread][a.thread % LANES] >= a.clock;
}

bool races(const Access& a, const Access& c) {
    return a.block && (a.bytes & c.bytes) && !(a.atomic && c.atomic) && !happens_before(a, c);
}

const Access* race_in(const History& history, const Access& c) {
    for (const Access* a : {&history.last, &history.near, &history.far})
        if (races(*a, c)) return a;
    return nullptr;
}

void remember(History& history, const Access& c) {
    const Access& last = history.last;
    if (last.block && last.block != c.block) {
        history.far = last;
    } else if (last.block && last.thread != c.thread) {
        const Access& near = history.near;
        const bool keep = near.block == c.block && near.barriers == c.barriers && near.thread / LANES != c.thread / LANES &&
                          last.thread / LANES == c.thread / LANES;
        if (!keep) history.near = last;
    }
    history.last = c;
}

std::string element(const Area& area, uintptr_t address) {
    return (area.shared ? "shared " : "") + area.name + "[" + std::to_string((address - area.start) / area.item) + "]";
}

void report(const char* what, const std::string& where, const Access& c, const Access* other) {
    const std::string place = c.site ? std::to_string(c.site) + "," + std::to_string(other ? other->site : 0) : where;
    if (reports.size() >= MOST_REPORTS || !reported.insert(what + place).second) return;
    Report one{};
    snprintf(one.what, sizeof one.what, "%s", what);
    snprintf(one.where, sizeof one.where, "%s", where.c_str());
    int n = snprintf(one.who, sizeof one.who, "block %u, thread %u", c.block - 1, c.thread);
    if (other) snprintf(one.who + n, sizeof one.who - n, ", against block %u, thread %u", other->block - 1, other->thread);
    one.site = c.site;
    one.other_site = other ? other->site : 0;
    reports.push_back(one);
}

const Area* find(uintptr_t address) {
    for (const Area* area : hot)
        if (area && address >= area->start && address < area->stop) return area;
    for (const Area& area : areas)
        if (address >= area.start && address < area.stop) {
            hot[1] = hot[0];
            return hot[0] = &area;
        }
    return nullptr;
}

// In words, what lies at an address that belongs to no argument and no shared variable.
std::string surroundings(uintptr_t address) {
    for (const Region& region : forbidden)
        if (address >= region.start && address < region.start + region.size)
            return region.accessible < 0 ? "an array that has been freed" : "an array that is no argument of the kernel";
    const Area* nearest = nullptr;
    uintptr_t least = 4096;
    for (const Area& area : areas) {
        const uintptr_t distance = address >= area.stop ? address - area.stop : area.start - address;
        if (distance < least) {
            least = distance;
            nearest = &area;
        }
    }
    if (!nearest) return "an address far from any array";
    const bool after = address >= nearest->stop;
    return std::to_string(after ? address - nearest->stop : nearest->start - address) + " bytes " +
           (after ? "past the end of " : "before the start of ") + (nearest->shared ? "shared " : "") + nearest->name +
           " (" + std::to_string((nearest->stop - nearest->start) / nearest->item) + " elements)";
}

bool is_constant(uintptr_t address) {
    for (const auto& [start, stop] : constants)
        if (address >= start && address < stop) return true;
    return false;
}

int note_constants(dl_phdr_info* info, size_t, void*) {
    if (info->dlpi_addr != library) return 0;
    for (int i = 0; i < info->dlpi_phnum; ++i) {
        const auto& part = info->dlpi_phdr[i];
        if ((part.p_type == PT_LOAD && !(part.p_flags & PF_W)) || part.p_type == PT_GNU_RELRO)
            constants.push_back({library + part.p_vaddr, library + part.p_vaddr + part.p_memsz});
    }
    return 1;
}

void add_area(const char* name, uintptr_t start, size_t size, size_t item, size_t grain, bool shared) {
    auto* cells = static_cast<Cell*>(calloc(size / grain + 2, sizeof(Cell)));  // zero pages until touched
    if (!cells) abort();
    areas.push_back({name, start, start + size, item, grain, shared, cells});
    hot[0] = hot[1] = nullptr;
}

}  // namespace

namespace checker {

void begin_launch(const Launch& launch) {
    end_launch();
    reports.clear();
    reported.clear();
    constants.clear();
    forbidden.clear();
    Dl_info info;
    library = dladdr(reinterpret_cast<void*>(launch.run), &info) ? reinterpret_cast<uintptr_t>(info.dli_fbase) : 0;
    dl_iterate_phdr(note_constants, nullptr);
    for (size_t i = 0; i < launch.n_regions; ++i) {
        const Region& region = launch.regions[i];
        if (region.accessible > 0)
            add_area(region.name, region.start, region.size, region.item, region.item < 4 ? region.item : 4, false);
        else
            forbidden.push_back(region);
    }
}

void end_launch() {
    for (const Area& area : areas) free(area.cells);
    areas.clear();
    hot[0] = hot[1] = nullptr;
}

void begin_block() {
    while (!areas.empty() && areas.back().shared) {  // shared areas come after the arguments
        free(areas.back().cells);
        areas.pop_back();
    }
    hot[0] = hot[1] = nullptr;
    for (uint32_t& clock : clocks) clock = 1;
    memset(seen, 0, sizeof seen);
}

void add_shared(const char* name, void* bytes, size_t size, size_t grain, size_t item) {
    add_area(name, reinterpret_cast<uintptr_t>(bytes), size, item, grain < 4 ? grain : 4, true);
}

void join_warp(unsigned first, unsigned present) {
    uint32_t joined[LANES] = {};
    for (unsigned lane = 0; lane < LANES; ++lane) {
        if (!(present >> lane & 1)) continue;
        for (unsigned other = 0; other < LANES; ++other)
            if (seen[first + lane][other] > joined[other]) joined[other] = seen[first + lane][other];
        if (clocks[first + lane] > joined[lane]) joined[lane] = clocks[first + lane];
    }
    for (unsigned lane = 0; lane < LANES; ++lane) {
        if (!(present >> lane & 1)) continue;
        memcpy(seen[first + lane], joined, sizeof joined);
        ++clocks[first + lane];
    }
}

void touch(uintptr_t address, size_t size, bool write, bool atomic, const void* site) {
    if (!running.active || address - running.stack < STACK_BYTES) return;
    Access c{running.block + 1, static_cast<uint16_t>(running.thread), 0, atomic, running.barriers,
             clocks[running.thread], static_cast<uint32_t>(reinterpret_cast<uintptr_t>(site) - library)};
    const Area* area = find(address);
    if (!area || address + size > area->stop) {
        if (!area && !write && is_constant(address)) return;
        report(write ? "write out of bounds" : "read out of bounds", surroundings(area ? area->stop : address), c, nullptr);
        fail("out of bounds");
        return;
    }
    if (address % size) report("misaligned access", element(*area, address), c, nullptr);
    const uintptr_t base = area->start / area->grain * area->grain;
    for (uintptr_t at = address / area->grain * area->grain; at < address + size; at += area->grain) {
        Cell& cell = area->cells[(at - base) / area->grain];
        c.bytes = 0;
        for (size_t byte = 0; byte < area->grain; ++byte)
            if (at + byte >= address && at + byte < address + size) c.bytes |= static_cast<uint8_t>(1u << byte);
        const Access* other = race_in(cell.writes, c);
        if (other) report(write ? "race: write after write" : "race: read after write", element(*area, at), c, other);
        if (area->shared && (!write || atomic) && (cell.written & c.bytes) != c.bytes)
            report("read of uninitialised shared memory", element(*area, at), c, nullptr);
        if (!write) {
            remember(cell.reads, c);
            continue;
        }
        const Access* reader = race_in(cell.reads, c);
        if (reader && !other) report("race: write after read", element(*area, at), c, reader);
        remember(cell.writes, c);
        cell.written |= c.bytes;
    }
}

}  // namespace checker

#define SITE __builtin_return_address(0)

extern "C" {

const Report* emulator_reports(size_t* count) {
    *count = reports.size();
    return reports.data();
}

void __tsan_init() {}
void __tsan_func_entry(void*) {}
void __tsan_func_exit() {}
#define ACCESS(name, size, write, atomic) \
    void __tsan_##name(void* address) { checker::touch(reinterpret_cast<uintptr_t>(address), size, write, atomic, SITE); }
#define ACCESSES(size) \
    ACCESS(read##size, size, false, false) \
    ACCESS(write##size, size, true, false) \
    ACCESS(unaligned_read##size, size, false, false) \
    ACCESS(unaligned_write##size, size, true, false) \
    ACCESS(volatile_read##size, size, false, true) \
    ACCESS(volatile_write##size, size, true, true) \
    ACCESS(unaligned_volatile_read##size, size, false, true) \
    ACCESS(unaligned_volatile_write##size, size, true, true)
ACCESSES(1)
ACCESSES(2)
ACCESSES(4)
ACCESSES(8)
ACCESSES(16)
void __tsan_read_range(void* address, size_t size) {
    for (size_t i = 0; i < size; ++i) checker::touch(reinterpret_cast<uintptr_t>(address) + i, 1, false, false, SITE);
}
void __tsan_write_range(void* address, size_t size) {
    for (size_t i = 0; i < size; ++i) checker::touch(reinterpret_cast<uintptr_t>(address) + i, 1, true, false, SITE);
}

// -fsanitize=undefined: what each call is given first begins with a place in the source.
struct Place {
    const char* file;
    uint32_t line, column;
};
static void undefined(const char* what, const Place* place) {
    if (!running.active) return;
    const Access c{running.block + 1, static_cast<uint16_t>(running.thread), 0, 0, 0, 0, 0};
    report(what, std::string(place->file) + ":" + std::to_string(place->line), c, nullptr);
}
#define UNDEFINED(name, what) \
    void __ubsan_handle_##name(const Place* place, uintptr_t, uintptr_t) { undefined(what, place); }
UNDEFINED(add_overflow, "integer overflow in a sum")
UNDEFINED(sub_overflow, "integer overflow in a difference")
UNDEFINED(mul_overflow, "integer overflow in a product")
UNDEFINED(negate_overflow, "integer overflow in a negation")
UNDEFINED(divrem_overflow, "integer division by zero")
UNDEFINED(shift_out_of_bounds, "shift by too much, or of a negative number")
UNDEFINED(out_of_bounds, "index outside a fixed array")
UNDEFINED(type_mismatch_v1, "misaligned or null pointer")
UNDEFINED(pointer_overflow, "pointer arithmetic that overflows")
UNDEFINED(builtin_unreachable, "the end of a function that returns a value")
UNDEFINED(missing_return, "the end of a function that returns a value")
}
