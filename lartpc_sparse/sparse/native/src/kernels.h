// What the instruction sets share: the problem of a call, and one table of functions for each instruction set.
#pragma once

#include <cstddef>
#include <cstdint>
#include <vector>

#include "api.h"
#include "maps.h"

namespace lartpc {

struct Convolution {
  const LartpcTerm* terms;
  int32_t num_terms;
  int64_t num_out;
  int64_t cout;
  const float* bias;
  const void* residual;
  int64_t residual_stride;
  const LartpcOutput* outputs;
  int32_t num_outputs;
};

struct WeightGradient {
  const void* x;
  int64_t x_stride;
  int64_t cin;
  const void* grad;
  int64_t grad_stride;
  int64_t cout;
  const LartpcMap* map;  // null: row n meets row n
  int64_t rows;          // of grad
};

// Memory of one thread, kept from call to call.
class Workspace {
 public:
  // 64-byte aligned room for n elements in the given drawer; what was there is lost.
  template <class T>
  __attribute__((always_inline)) T* get(int drawer, int64_t n) {
    return static_cast<T*>(room(drawer, static_cast<size_t>(n) * sizeof(T)));
  }

 private:
  void* room(int drawer, size_t bytes);

  std::vector<char> drawers_[6];
};

// Some rows of features, and of gradients where there are any.
struct NormRows {
  const void* x;
  int64_t x_stride;
  const void* grad;
  int64_t grad_stride;
  int64_t count;
  int64_t channels;
  const void* added;  // gradient that came another way, added to that of x; null for none
  int64_t added_stride;
};

// Factors of each channel, in the format of the features (float32 for bfloat16), with room up to a whole vector.
struct NormFactors {
  const void* scale;
  const void* shift;
  const void* mean;
  const void* by_x;
  const void* constant;
  double slope;
};

struct NormKernels {
  void (*moments)(const NormRows&, void* mean, void* m2);
  void (*apply)(const NormRows&, const NormFactors&, void* y);
  void (*gradient_sums)(const NormRows&, const NormFactors&, void* sum, void* product);
  void (*input_gradient)(const NormRows&, const NormFactors&, void* dx);
};

// Edges and the network that scores them, see edges.h; `weights` are those of the differences and then of the way, and
// rows of hidden numbers are padded with zeros to a multiple of EDGE_COLUMNS.
struct EdgeProblem {
  const float* features;
  const float* sums;
  const int32_t* coords;
  const int64_t* pairs;
  int64_t num_pairs;
  const float* weights;
  const float* bias;
  const float* out;
  float out_bias;
  int64_t width;
  int64_t dim;
  int64_t hidden;
};

struct Kernels {
  const char* isa;
  bool (*runs_here)();
  // One block of output rows, by storage format (LartpcDtype).
  void (*convolve[3])(const Convolution&, int64_t block, Workspace&);
  // Blocks [first, last), weight rows [row_begin, row_end) of every slot: their sums go to `sum` (K, cin, padded cout),
  // whatever was there, float32 for bfloat16.
  void (*weight_gradient[3])(const WeightGradient&, int64_t first, int64_t last, int64_t row_begin, int64_t row_end,
                             void* sum, Workspace&);
  int64_t width[2];  // elements of a vector, float32 and float64: columns are padded to it
  int64_t (*fma_burst)();  // floating-point operations done in one burst of multiply-adds
  NormKernels norm[3];
  void (*score_edges)(const EdgeProblem&, float* input, float* scores);  // input: room for width + dim numbers
};

// The kernels in use.
const Kernels& kernels();

extern const Kernels avx512_bf16_kernels, avx512_kernels, avx2_kernels, portable_kernels;

inline int64_t round_up(int64_t n, int64_t to) { return (n + to - 1) / to * to; }

constexpr int64_t PACKED_COLUMNS = 16;  // columns of packed bfloat16 weights are padded to a multiple of this

constexpr int64_t EDGE_COLUMNS = 32;  // hidden numbers of an edge are padded to a multiple of this

}  // namespace lartpc
