// C interface of the CPU engine: plain pointers and opaque handles, no Python, no libtorch.
//
// Handles come from a *_create or map_* function and go back through *_free. A function that can fail returns
// null or a negative number, and lartpc_last_error() (one text per thread) says why.
#pragma once

#include <cstdint>

#if defined(_WIN32)
#define LARTPC_API extern "C" __declspec(dllexport)
#else
#define LARTPC_API extern "C" __attribute__((visibility("default")))
#endif

struct LartpcIndex;  // the voxels of a level, sorted
struct LartpcMap;    // a kernel map, cut into blocks of output rows

// Storage formats of features and weights; sums are in float32, in float64 for float64.
enum LartpcDtype : int32_t { LARTPC_FLOAT32 = 0, LARTPC_FLOAT64 = 1, LARTPC_BFLOAT16 = 2 };

enum LartpcActivation : int32_t {
  LARTPC_IDENTITY = 0,
  LARTPC_LEAKY_RELU = 1,  // slope 0: ReLU
  LARTPC_ELU = 2,
  LARTPC_GELU = 3,
};

// One summand of a convolution: out[q] += x[p] @ w[k] over the pairs (p, q, k) of the map; without a map, p = q.
struct LartpcTerm {
  const void* x;     // (num_in, cin), rows `x_stride` apart
  int64_t x_stride;
  int64_t cin;
  const void* w;     // element (k, i, j) at k * w_slot + i * w_row + j; bfloat16: words of two channels i, see pack
  int64_t w_slot;
  int64_t w_row;
  const LartpcMap* map;
  int32_t reversed;  // slot k takes weight K - 1 - k: the transpose of a submanifold map
};

// One result of a convolution: y = activation(scale * (sum + bias + residual) + shift), null scale or shift for 1 or 0.
struct LartpcOutput {
  void* y;
  int64_t y_stride;
  const float* scale;
  const float* shift;
  int32_t activation;
  float slope;
};

LARTPC_API const char* lartpc_last_error();
LARTPC_API int32_t lartpc_abi_version();

// Instruction set in use: "avx512_bf16", "avx512", "avx2" or "portable"; select returns 0 or, unknown or unable, -1.
LARTPC_API const char* lartpc_isa();
LARTPC_API int32_t lartpc_select_isa(const char* name);

// Sorted index of n voxels; rows of event b are offsets[b] to offsets[b + 1]. Null when a coordinate does not fit.
LARTPC_API LartpcIndex* lartpc_index_create(const int32_t* coords, const int64_t* offsets, int64_t n, int32_t dim,
                                            int64_t events);
LARTPC_API void lartpc_index_free(LartpcIndex*);
// Number of voxels that repeat an earlier one; the row of the first of them goes to first_row.
LARTPC_API int64_t lartpc_index_duplicates(const LartpcIndex*, int64_t* first_row);
// Index of the voxels floor(coords / step), each once, and its size, coordinates and event offsets.
LARTPC_API LartpcIndex* lartpc_index_coarsen(const LartpcIndex*, const int32_t* step);
LARTPC_API int64_t lartpc_index_size(const LartpcIndex*);
LARTPC_API void lartpc_index_export(const LartpcIndex*, int32_t* coords, int64_t* offsets);

LARTPC_API LartpcMap* lartpc_map_submanifold(const LartpcIndex*, const int32_t* kernel_size, int32_t threads);
LARTPC_API LartpcMap* lartpc_map_strided(const LartpcIndex* fine, const LartpcIndex* coarse, const int32_t* kernel_size,
                                         const int32_t* step, int32_t threads);
LARTPC_API LartpcMap* lartpc_map_from_pairs(const int64_t* in_rows, const int64_t* out_rows, const int64_t* slot_starts,
                                            int32_t slots, int64_t num_in, int64_t num_out);
LARTPC_API LartpcMap* lartpc_map_transpose(const LartpcMap*);
LARTPC_API void lartpc_map_free(LartpcMap*);
// Pairs of each slot, returning their sum; then the pairs themselves, slot after slot, outputs in index order.
LARTPC_API int64_t lartpc_map_count(const LartpcMap*, int64_t* slot_counts);
LARTPC_API void lartpc_map_export(const LartpcMap*, int64_t* in_rows, int64_t* out_rows);

LARTPC_API int32_t lartpc_convolve(int32_t dtype, const LartpcTerm* terms, int32_t num_terms, int64_t num_out,
                                   int64_t cout, const float* bias, const void* residual, int64_t residual_stride,
                                   const LartpcOutput* outputs, int32_t num_outputs, int32_t threads);
// grad_weight (K, cin, cout) = sum over pairs of x[p]^T grad[q]; `rows` of grad; in the format of both, float32 for bfloat16. Without
// a map p = q.
LARTPC_API int32_t lartpc_weight_gradient(int32_t dtype, const void* x, int64_t x_stride, int64_t cin, const void* grad,
                                          int64_t grad_stride, int64_t cout, const LartpcMap* map, int64_t rows,
                                          void* grad_weight, int32_t threads);
// (K, rows, columns) -> (K, columns, rows).
LARTPC_API int32_t lartpc_transpose_weight(int32_t dtype, const void* w, int64_t slots, int64_t rows, int64_t columns,
                                           void* out, int32_t threads);
// Packs a (K, cin, cout) bfloat16 weight: (K, cin / 2, padded cout) words of two input channels, zeros where there is
// none; and the number of bfloat16 elements of the result.
LARTPC_API int64_t lartpc_packed_size(int64_t slots, int64_t cin, int64_t cout);
LARTPC_API int32_t lartpc_pack_weight(const void* w, int64_t slots, int64_t cin, int64_t cout, void* packed,
                                      int32_t threads);

// Batch normalisation with a leaky ReLU (slope 0: ReLU, 1: none) over n rows of any format. Statistics and
// factors are in float64; results depend neither on the number of threads nor, but for rounding, on n.
//   moments: mean and biased variance of each channel.
//   apply: y (n, channels) = activation(scale * x + shift).
//   gradient: dx (n, channels) of apply with scale = weight * rstd, shift = bias - mean * scale, and statistics of these
//   rows, plus `added` (null for none); grad_weight and grad_bias of each channel.
LARTPC_API int32_t lartpc_norm_moments(int32_t dtype, const void* x, int64_t x_stride, int64_t n, int64_t channels,
                                       double* mean, double* variance, int32_t threads);
LARTPC_API int32_t lartpc_norm_apply(int32_t dtype, const void* x, int64_t x_stride, int64_t n, int64_t channels,
                                     const double* scale, const double* shift, double slope, void* y, int32_t threads);
LARTPC_API int32_t lartpc_norm_gradient(int32_t dtype, const void* x, int64_t x_stride, const void* grad,
                                        int64_t grad_stride, const void* added, int64_t added_stride, int64_t n,
                                        int64_t channels, const double* scale, const double* shift,
                                        const double* mean, const double* rstd, double slope, void* dx,
                                        double* grad_weight, double* grad_bias, int32_t threads);

// near[i] = 1 when voxel i and one of another class within `distance` both have a label >= 0; box: the longest difference
// along an axis instead of the Euclidean distance. Needs 1 to 4 axes.
LARTPC_API int32_t lartpc_near_other_class(const int32_t* coords, const int64_t* label, int64_t n, int32_t dim,
                                           double distance, int32_t box, uint8_t* near);

// Pairs of voxels with one label >= 0 whose longest difference along an axis is at most `reach` or one of `far` (bits, see
// graph.h), each once: their number, and the rows of the first `capacity` of them, two a pair; -1 when labels and
// coordinates do not fit into a key.
LARTPC_API int64_t lartpc_near_pairs(const int32_t* coords, const int64_t* label, int64_t n, int32_t dim, int32_t reach,
                                     uint64_t far, int64_t capacity, int64_t* pairs);
// Coordinates (n, dim) of numbers of the voxels of an image of size[0] x size[1] x ..., counted along the first axis first or
// along the last; n, or the first row with a number outside the image, where it stops. Needs 1 to 4 axes of 1 to 2^31 - 1.
LARTPC_API int64_t lartpc_voxel_coords(const uint64_t* ids, int64_t n, const int64_t* size, int32_t dim,
                                       int32_t first_axis_first, int32_t* coords);
// Scores (num_pairs) of edges by the network of edges.h; 0, or -1 for a row that is none.
LARTPC_API int32_t lartpc_score_edges(const float* features, const float* sums, const int32_t* coords, int64_t n,
                                      const int64_t* pairs, int64_t num_pairs, const float* difference,
                                      const float* way, const float* bias, const float* out, float out_bias,
                                      int32_t width, int32_t dim, int32_t hidden, float* scores);
// Average-linkage agglomeration of a graph with scored edges, see graph.h; the number of clusters, -1 for a wrong edge.
LARTPC_API int64_t lartpc_agglomerate(const int64_t* pairs, const float* scores, int64_t num_pairs, int64_t num_nodes,
                                      double threshold, double certain, int64_t* cluster);

// Multiply-add throughput of `threads` threads over `seconds`, in GFLOP/s: what the kernels are measured against.
LARTPC_API double lartpc_fma_peak(int32_t threads, double seconds);
