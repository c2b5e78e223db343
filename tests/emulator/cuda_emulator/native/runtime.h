// What a compiled kernel calls: the emulated multiprocessor. Compiled once; kernels are linked to it.
#pragma once
#include <stddef.h>
#include <stdint.h>

#define EMULATOR_FIXED __attribute__((const))  // the answer never changes while one CUDA thread runs

struct emulator_index {
    unsigned x, y, z;
};

typedef uint64_t (*emulator_fold)(uint64_t, uint64_t);

extern "C" {
emulator_index emulator_thread_index() EMULATOR_FIXED;
emulator_index emulator_block_index() EMULATOR_FIXED;
emulator_index emulator_block_size() EMULATOR_FIXED;
emulator_index emulator_grid_size() EMULATOR_FIXED;
unsigned emulator_lane() EMULATOR_FIXED;

// Wait for every thread of the block; how many of them gave a predicate that is not zero.
int emulator_barrier(int predicate, const char* what, const char* file, int line);

// Wait for the lanes in the mask. With a fold, its result over their values; without, the value of lane `source`.
uint64_t emulator_collective(unsigned mask, uint64_t value, unsigned source, emulator_fold fold, const char* what,
                             const char* file, int line);
// The same for __syncwarp, which also orders memory.
void emulator_sync_warp(unsigned mask, const char* file, int line);

// Called before a read-modify-write, which nothing can interrupt: here alone may another thread be run in between.
void emulator_atomic(void* address, size_t size, void* site);

// Called where a shared variable is declared: poisons it when it is met first in a block.
void emulator_enter_shared(void* bytes, size_t size, size_t grain, uint64_t* entered, const char* name);
void* emulator_dynamic_shared();
}
