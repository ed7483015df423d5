#if defined(__x86_64__)
#define LARTPC_SPACE avx2
#define LARTPC_BYTES 32
#define LARTPC_REGISTERS 16
#include "kernels_impl.h"

namespace lartpc {
static bool runs_here() {
  return __builtin_cpu_supports("avx2") && __builtin_cpu_supports("fma");
}
const Kernels avx2_kernels = LARTPC_KERNELS("avx2", avx2, runs_here);
}  // namespace lartpc
#endif
