// Takes the place of the AVX-512 kernels: instrumented, they take minutes to compile. They share their text with the
// portable and the AVX2 kernels, which are instrumented.
#if defined(__x86_64__)
#include "kernels.h"

namespace lartpc {
namespace {
bool runs_here() { return false; }
}  // namespace
const Kernels avx512_kernels{"avx512", runs_here, {}, {}, {}, nullptr, {}, nullptr};
const Kernels avx512_bf16_kernels{"avx512_bf16", runs_here, {}, {}, {}, nullptr, {}, nullptr};
#if defined(WITHOUT_AVX2)
const Kernels avx2_kernels{"avx2", runs_here, {}, {}, {}, nullptr, {}, nullptr};
#endif
}  // namespace lartpc
#endif
