#if defined(__x86_64__)
#define LARTPC_SPACE avx512_bf16
#define LARTPC_BYTES 64
#define LARTPC_REGISTERS 32
#define LARTPC_BF16_DOT
#include "kernels_impl.h"

namespace lartpc {
static bool runs_here() {
  return __builtin_cpu_supports("avx512f") && __builtin_cpu_supports("avx512bw") &&
         __builtin_cpu_supports("avx512dq") && __builtin_cpu_supports("avx512vl") && __builtin_cpu_supports("fma") &&
         __builtin_cpu_supports("avx512bf16");
}
const Kernels avx512_bf16_kernels = LARTPC_KERNELS("avx512_bf16", avx512_bf16, runs_here);
}  // namespace lartpc
#endif
