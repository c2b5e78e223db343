// Switching between stacks: a few instructions on x86-64, POSIX ucontext elsewhere (or with -DEMULATOR_UCONTEXT).
#pragma once
#include <stddef.h>

#if defined(__x86_64__) && !defined(EMULATOR_UCONTEXT)

struct Context {
    void* stack_pointer = nullptr;
};

// Saves the registers that a function must preserve on the present stack, and takes them from the other one.
extern "C" void emulator_switch(void** from, void* to);
asm(".text\n.hidden emulator_switch\n.type emulator_switch,@function\nemulator_switch:\n"
    "push %rbp\npush %rbx\npush %r12\npush %r13\npush %r14\npush %r15\n"
    "mov %rsp,(%rdi)\nmov %rsi,%rsp\n"
    "pop %r15\npop %r14\npop %r13\npop %r12\npop %rbx\npop %rbp\nret\n"
    ".size emulator_switch,.-emulator_switch\n");

inline void prepare(Context& context, char* stack, size_t size, void (*entry)()) {
    void** top = reinterpret_cast<void**>(stack + size - 64);  // 16-byte aligned, as a call would leave it
    *--top = nullptr;                                          // where `entry` would return to; it never does
    *--top = reinterpret_cast<void*>(entry);
    for (int saved = 0; saved < 6; ++saved) *--top = nullptr;
    context.stack_pointer = top;
}

inline void change(Context& from, Context& to) { emulator_switch(&from.stack_pointer, to.stack_pointer); }

#else
#include <ucontext.h>

struct Context {
    ucontext_t state;
};

inline void prepare(Context& context, char* stack, size_t size, void (*entry)()) {
    getcontext(&context.state);
    context.state.uc_stack.ss_sp = stack;
    context.state.uc_stack.ss_size = size;
    context.state.uc_link = nullptr;
    makecontext(&context.state, entry, 0);
}

inline void change(Context& from, Context& to) { swapcontext(&from.state, &to.state); }

#endif
