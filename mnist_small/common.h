// Vectors and threads, for all of the library's C++.
#pragma once
#include <cstdint>
#include <cstring>
#include <unistd.h>

#ifdef __AVX512F__
constexpr int V = 16; // numbers in a vector
#else
constexpr int V = 8;
#endif
typedef float vec __attribute__((vector_size(4*V)));
typedef int32_t ints __attribute__((vector_size(4*V)));
typedef uint32_t bits __attribute__((vector_size(4*V)));

// ---------------------------------------------------------------------------------------------------------------------
// Threads

// These are OpenMP's, from the library that torch itself calls, so that its operations and these take turns on the same
// threads. A `#pragma omp` would bring the compiler's own library beside it: two sets of threads, or a crash.
static void (*parallel)(void (*f)(void*), void* data, unsigned threads, unsigned flags);
static int (*thread_number)();
static int (*thread_count)();
static int home; // the process that they were loaded in: a fork of it has none of its threads, and would wait for them

template<class F> struct Groups {
    int n;
    F* f;
    static void run(void* data) {
        Groups* o = static_cast<Groups*>(data);
        int t = thread_number(), nt = thread_count();
        for (int group = t*o->n/nt; group < (t+1)*o->n/nt; group++) (*o->f)(group, t);
    }
};

template<class F> void each(int n, int threads, F f) { // f(group, thread) for n groups
    if (threads > 1 && getpid() == home) {
        Groups<F> groups{n, &f};
        parallel(Groups<F>::run, &groups, threads, 0);
    } else {
        for (int group = 0; group < n; group++) f(group, 0);
    }
}

extern "C" {

int lanes() { return V; }

// OpenMP's GOMP_parallel, omp_get_thread_num and omp_get_num_threads, and the process that may use them
void use(decltype(parallel) start, decltype(thread_number) number, decltype(thread_count) count, int process) {
    parallel = start;
    thread_number = number;
    thread_count = count;
    home = process;
}

}
