/* How many fused multiply-adds one core can do: twelve independent sums of full vectors, nothing from memory.
 *
 * Twelve hide four cycles of latency in up to three pipes and, with the two operands, fit into sixteen registers.
 * Every sum is a variable of its own: GCC 12 keeps an array of vectors in memory. */
#include <time.h>

#if defined(__AVX512F__)
#define BYTES 64
#elif defined(__AVX__)
#define BYTES 32
#else
#define BYTES 16
#endif

typedef float vec __attribute__((vector_size(BYTES)));

#define EACH(F) F(0) F(1) F(2) F(3) F(4) F(5) F(6) F(7) F(8) F(9) F(10) F(11)
#define START(i) vec s##i = (vec){0} + (float)i;
#define FMA(i) s##i = s##i * factor + term;
/* Without this the compiler may compute the sums in closed form or drop them. */
#if defined(__x86_64__)
#define KEEP(i) __asm__ volatile("" : "+x"(s##i));
#elif defined(__aarch64__)
#define KEEP(i) __asm__ volatile("" : "+w"(s##i));
#else
#define KEEP(i) __asm__ volatile("" : "+m"(s##i));
#endif

static double now(void) {
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return (double)t.tv_sec + 1e-9 * (double)t.tv_nsec;
}

/* GFLOP/s of the calling thread over about `seconds`. */
double fma_gflops(double seconds) {
    const vec factor = (vec){0} + 0.999f, term = (vec){0} + 0.001f;
    const int rounds = 100000;
    EACH(START)
    double begin = now(), passed = 0, done = 0;
    do {
        for (int i = 0; i < rounds; i++) {
            EACH(FMA)
            EACH(KEEP)
        }
        done += rounds;
        passed = now() - begin;
    } while (passed < seconds);
    return done * 12 * 2 * (BYTES / sizeof(float)) / passed * 1e-9;
}
