// The emulated multiprocessor as the checker sees it.
#pragma once
#include <stdarg.h>

#include "runtime.h"

constexpr unsigned LANES = 32, MOST_THREADS = 1024;

// What Python asks for. Fields are mirrored by ctypes in module.py.
struct Region {
    const char* name;
    uintptr_t start;
    size_t size;
    size_t item;     // bytes of an element
    int accessible;  // 0: not an argument of this launch; -1: freed
};
struct Launch {
    void (*run)(void**);
    void** arguments;
    unsigned grid[3], block[3];
    size_t dynamic_bytes;
    uint64_t order;  // 0 ascending, 1 descending, others seed a random one
    int checked;
    double seconds;  // of processor time, after which the launch is given up
    const Region* regions;
    size_t n_regions;
};

// The thread that runs at present. `clock` and `seen` date accesses within its warp: see checker.cpp.
struct Running {
    bool active;
    uint32_t block, thread, barriers;
    uintptr_t stack;
};
extern Running running;
constexpr size_t STACK_BYTES = 128 * 1024;

// Ends the launch with a message; does not return when a CUDA thread calls it.
void fail(const char* format, ...) __attribute__((format(printf, 1, 2)));

namespace checker {
void begin_launch(const Launch& launch);
void end_launch();
void begin_block();
void add_shared(const char* name, void* bytes, size_t size, size_t grain, size_t item);
void join_warp(unsigned first_thread, unsigned present);
void touch(uintptr_t address, size_t size, bool write, bool atomic, const void* site);
}  // namespace checker
