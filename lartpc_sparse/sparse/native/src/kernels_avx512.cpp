#if defined(__x86_64__)
#define LARTPC_SPACE avx512
#define LARTPC_BYTES 64
#define LARTPC_REGISTERS 32
#include "kernels_impl.h"

namespace lartpc {
static bool runs_here() {
  return __builtin_cpu_supports("avx512f") && __builtin_cpu_supports("avx512bw") &&
         __builtin_cpu_supports("avx512dq") && __builtin_cpu_supports("avx512vl") && __builtin_cpu_supports("fma");
}
const Kernels avx512_kernels = LARTPC_KERNELS("avx512", avx512, runs_here);
}  // namespace lartpc
#endif
