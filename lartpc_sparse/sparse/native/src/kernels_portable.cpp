// Vectors of 16 bytes: NEON on aarch64, SSE2 on x86-64, and on anything else whatever the compiler makes of them.
#define LARTPC_SPACE portable
#define LARTPC_BYTES 16
#if defined(__aarch64__)
#define LARTPC_REGISTERS 32
#else
#define LARTPC_REGISTERS 16
#endif
#include "kernels_impl.h"

namespace lartpc {
static bool runs_here() { return true; }
const Kernels portable_kernels = LARTPC_KERNELS("portable", portable, runs_here);
}  // namespace lartpc
