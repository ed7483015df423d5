#include "api.h"

#include <algorithm>
#include <atomic>
#include <chrono>
#include <cstring>
#include <exception>
#include <memory>
#include <stdexcept>
#include <string>

#include "edges.h"
#include "graph.h"
#include "grid.h"
#include "index.h"
#include "kernels.h"
#include "maps.h"
#include "neighbours.h"
#include "norm.h"
#include "pool.h"

namespace lartpc {

void* Workspace::room(int drawer, size_t bytes) {
  std::vector<char>& memory = drawers_[drawer];
  if (memory.size() < bytes + 64) memory.resize(bytes + 64);
  return reinterpret_cast<void*>((reinterpret_cast<uintptr_t>(memory.data()) + 63) & ~uintptr_t{63});
}

namespace {

thread_local std::string last_error;
thread_local Workspace workspace;

// Runs `body`; on an exception keeps its text and gives `otherwise`.
template <class Body, class Result>
Result guarded(Result otherwise, const Body& body) noexcept {
  try {
    return body();
  } catch (const std::exception& error) {
    try {
      last_error = error.what();
    } catch (...) {
    }
  } catch (...) {
  }
  return otherwise;
}

const Kernels* const ALL_KERNELS[] = {
#if defined(__x86_64__)
    &avx512_bf16_kernels, &avx512_kernels, &avx2_kernels,
#endif
    &portable_kernels};

const Kernels* best_kernels() {
  for (const Kernels* kernels : ALL_KERNELS) {
    if (kernels->runs_here()) return kernels;
  }
  return &portable_kernels;
}

std::atomic<const Kernels*> chosen{nullptr};

int dtype_index(int32_t dtype, int32_t count) {
  if (dtype < 0 || dtype >= count) throw std::invalid_argument("no kernel for dtype " + std::to_string(dtype));
  return dtype;
}

void check_blocks(const Convolution& problem) {
  if (problem.num_terms < 1) throw std::invalid_argument("a convolution needs a term");
  const LartpcMap* first = nullptr;
  for (int32_t t = 0; t < problem.num_terms; ++t) {
    const LartpcMap* map = problem.terms[t].map;
    if (!map) continue;
    if (map->num_out != problem.num_out) throw std::invalid_argument("a map has another number of outputs");
    if (first && first->out_order != map->out_order) throw std::invalid_argument("maps with outputs in two orders");
    first = map;
  }
}

// A convolution onto some of the output channels.
struct ColumnRange {
  std::vector<LartpcTerm> terms;
  std::vector<LartpcOutput> outputs;
  Convolution problem;

  ColumnRange(const Convolution& whole, int32_t dtype, int64_t begin, int64_t end)
      : terms(whole.terms, whole.terms + whole.num_terms),
        outputs(whole.outputs, whole.outputs + whole.num_outputs),
        problem(whole) {
    const int64_t size = dtype == LARTPC_FLOAT64 ? 8 : dtype == LARTPC_FLOAT32 ? 4 : 2;
    const int64_t weight_size = dtype == LARTPC_FLOAT64 ? 8 : 4;
    for (LartpcTerm& term : terms) term.w = static_cast<const char*>(term.w) + begin * weight_size;
    for (LartpcOutput& output : outputs) {
      output.y = static_cast<char*>(output.y) + begin * size;
      if (output.scale) output.scale += begin;
      if (output.shift) output.shift += begin;
    }
    if (whole.bias) problem.bias += begin;
    if (whole.residual) problem.residual = static_cast<const char*>(whole.residual) + begin * size;
    problem.terms = terms.data();
    problem.outputs = outputs.data();
    problem.cout = end - begin;
  }
  ColumnRange(ColumnRange&&) = default;  // moved vectors keep their memory
};

// At most `parts` ranges of at least 32 channels.
std::vector<ColumnRange> cut_columns(const Convolution& problem, int32_t dtype, int64_t parts) {
  constexpr int64_t UNIT = 16, SMALLEST = 2;
  const int64_t units = problem.cout / UNIT;
  parts = std::max<int64_t>(1, std::min(parts, units / SMALLEST));
  std::vector<ColumnRange> ranges;
  ranges.reserve(parts);
  for (int64_t part = 0; part < parts; ++part) {
    const int64_t end = part + 1 == parts ? problem.cout : (part + 1) * units / parts * UNIT;
    ranges.emplace_back(problem, dtype, part * units / parts * UNIT, end);
  }
  return ranges;
}

// The gradient is summed in parts that depend on the problem alone, so that its bits do not depend on the threads:
// segments of blocks, and for wide weights also ranges of weight rows.
struct Partition {
  static constexpr int64_t RANGE = 24;  // weight rows: whole tiles of any width
  int64_t segments, ranges;

  Partition(const WeightGradient& problem, int64_t blocks, int64_t padded) {
    constexpr int64_t TASKS = 16, LARGEST_SUM = 4 << 20;  // elements of all partial sums
    const int64_t size = (problem.map ? problem.map->slots : 1) * problem.cin * padded;
    segments = std::min({TASKS, (blocks / 4 + 1) / 2 * 2, LARGEST_SUM / std::max<int64_t>(size, 1) / 2 * 2});
    if (segments < 2 || blocks < 8) segments = 1;  // else an even number, for threads to share
    ranges = std::max<int64_t>(1, std::min(TASKS / segments, problem.cin / RANGE));
  }
};

template <class T>
void weight_gradient(const WeightGradient& problem, int dtype, T* result, int threads) {
  const int64_t slots = problem.map ? problem.map->slots : 1;
  const int64_t blocks = BlockCut(problem.rows).blocks;
  const int64_t padded = round_up(problem.cout, kernels().width[dtype == LARTPC_FLOAT64]);
  const Partition parts(problem, blocks, padded);
  const int64_t rows = slots * problem.cin, size = rows * padded;
  const bool direct = parts.segments == 1 && padded == problem.cout;
  std::unique_ptr<T[]> memory(direct ? nullptr : new T[parts.segments * size]);
  T* sums = direct ? result : memory.get();
  const int64_t range = parts.ranges > 1 ? Partition::RANGE : problem.cin;
  const int64_t ranges = (problem.cin + range - 1) / range;
  parallel_for(parts.segments * ranges, threads, [&](int64_t task, int) {
    const int64_t segment = task / ranges, begin = task % ranges * range;
    const int64_t end = std::min(problem.cin, begin + range);
    T* sum = sums + segment * size;
    kernels().weight_gradient[dtype](problem, segment * blocks / parts.segments, (segment + 1) * blocks / parts.segments,
                                     begin, end, sum, workspace);
  });
  if (direct) return;
  constexpr int64_t ROWS_A_TASK = 64;
  parallel_for((rows + ROWS_A_TASK - 1) / ROWS_A_TASK, threads, [&](int64_t task, int) {
    for (int64_t row = task * ROWS_A_TASK; row < std::min(rows, (task + 1) * ROWS_A_TASK); ++row) {
      T* to = result + row * problem.cout;
      std::memcpy(to, sums + row * padded, static_cast<size_t>(problem.cout) * sizeof(T));
      for (int64_t segment = 1; segment < parts.segments; ++segment) {
        const T* from = sums + segment * size + row * padded;
        for (int64_t c = 0; c < problem.cout; ++c) to[c] += from[c];
      }
    }
  });
}

template <class T>
void transpose_slot(const T* from, int64_t rows, int64_t columns, T* to) {
  constexpr int64_t TILE = 16;
  for (int64_t r = 0; r < rows; r += TILE) {
    for (int64_t c = 0; c < columns; c += TILE) {
      for (int64_t j = c; j < std::min(columns, c + TILE); ++j) {
        for (int64_t i = r; i < std::min(rows, r + TILE); ++i) to[j * rows + i] = from[i * columns + j];
      }
    }
  }
}

// (cin / 2, padded cout) words of two input channels each.
void pack_slot(const uint16_t* w, int64_t cin, int64_t cout, uint32_t* packed) {
  const int64_t padded = round_up(cout, PACKED_COLUMNS);
  for (int64_t c = 0; c < cin; c += 2, packed += padded) {
    const uint16_t* even = w + c * cout;
    const uint16_t* odd = c + 1 < cin ? even + cout : nullptr;
    for (int64_t j = 0; j < cout; ++j) packed[j] = (odd ? uint32_t{odd[j]} << 16 : 0) | even[j];
    std::fill(packed + cout, packed + padded, 0);
  }
}

}  // namespace

const Kernels& kernels() {
  const Kernels* have = chosen.load(std::memory_order_acquire);
  if (!have) chosen.store(have = best_kernels(), std::memory_order_release);
  return *have;
}

}  // namespace lartpc

using namespace lartpc;

const char* lartpc_last_error() { return last_error.c_str(); }
int32_t lartpc_abi_version() { return 8; }
const char* lartpc_isa() { return kernels().isa; }

int32_t lartpc_select_isa(const char* name) {
  for (const Kernels* kernels : ALL_KERNELS) {
    if (std::strcmp(kernels->isa, name) == 0 && kernels->runs_here()) {
      chosen.store(kernels, std::memory_order_release);
      return 0;
    }
  }
  return -1;
}

LartpcIndex* lartpc_index_create(const int32_t* coords, const int64_t* offsets, int64_t n, int32_t dim,
                                 int64_t events) {
  return guarded<>(static_cast<LartpcIndex*>(nullptr),
                   [&] { return create_index(coords, offsets, n, dim, events).release(); });
}
void lartpc_index_free(LartpcIndex* index) { delete index; }
int64_t lartpc_index_duplicates(const LartpcIndex* index, int64_t* first_row) { return duplicates(*index, first_row); }
LartpcIndex* lartpc_index_coarsen(const LartpcIndex* index, const int32_t* step) {
  return guarded<>(static_cast<LartpcIndex*>(nullptr), [&] { return coarsen(*index, step).release(); });
}
int64_t lartpc_index_size(const LartpcIndex* index) { return index->size(); }
void lartpc_index_export(const LartpcIndex* index, int32_t* coords, int64_t* offsets) {
  export_index(*index, coords, offsets);
}

LartpcMap* lartpc_map_submanifold(const LartpcIndex* index, const int32_t* kernel_size, int32_t threads) {
  return guarded<>(static_cast<LartpcMap*>(nullptr),
                   [&] { return submanifold_map(*index, kernel_size, threads).release(); });
}
LartpcMap* lartpc_map_strided(const LartpcIndex* fine, const LartpcIndex* coarse, const int32_t* kernel_size,
                              const int32_t* step, int32_t threads) {
  return guarded<>(static_cast<LartpcMap*>(nullptr),
                   [&] { return strided_map(*fine, *coarse, kernel_size, step, threads).release(); });
}
LartpcMap* lartpc_map_from_pairs(const int64_t* in_rows, const int64_t* out_rows, const int64_t* slot_starts,
                                 int32_t slots, int64_t num_in, int64_t num_out) {
  return guarded<>(static_cast<LartpcMap*>(nullptr), [&] {
    return map_from_pairs(in_rows, out_rows, slot_starts, slots, num_in, num_out).release();
  });
}
LartpcMap* lartpc_map_transpose(const LartpcMap* map) {
  return guarded<>(static_cast<LartpcMap*>(nullptr), [&] { return transpose(*map).release(); });
}
void lartpc_map_free(LartpcMap* map) { delete map; }
int64_t lartpc_map_count(const LartpcMap* map, int64_t* slot_counts) { return count_pairs(*map, slot_counts); }
void lartpc_map_export(const LartpcMap* map, int64_t* in_rows, int64_t* out_rows) {
  export_pairs(*map, in_rows, out_rows);
}

int32_t lartpc_convolve(int32_t dtype, const LartpcTerm* terms, int32_t num_terms, int64_t num_out, int64_t cout,
                        const float* bias, const void* residual, int64_t residual_stride,
                        const LartpcOutput* outputs, int32_t num_outputs, int32_t threads) {
  return guarded<>(-1, [&] {
    const Convolution problem{terms, num_terms, num_out, cout, bias, residual, residual_stride, outputs, num_outputs};
    const auto block = kernels().convolve[dtype_index(dtype, 3)];
    check_blocks(problem);
    // Neighbouring blocks go to one thread, which then finds the rows that they share in its cache. Few blocks are
    // cut into ranges of columns instead, so that no thread goes without.
    const int64_t blocks = BlockCut(num_out).blocks;
    const int64_t run = std::max<int64_t>(1, std::min<int64_t>(4, blocks / (8 * std::max(threads, 1))));
    const std::vector<ColumnRange> ranges = cut_columns(problem, dtype, blocks < 3 * threads ? threads : 1);
    const int64_t parts = static_cast<int64_t>(ranges.size());
    parallel_for((blocks + run - 1) / run * parts, threads, [&](int64_t task, int) {
      const Convolution& part = ranges[task % parts].problem;
      for (int64_t number = task / parts * run; number < std::min(blocks, (task / parts + 1) * run); ++number) {
        block(part, number, workspace);
      }
    });
    return 0;
  });
}

int32_t lartpc_weight_gradient(int32_t dtype, const void* x, int64_t x_stride, int64_t cin, const void* grad,
                               int64_t grad_stride, int64_t cout, const LartpcMap* map, int64_t rows,
                               void* grad_weight, int32_t threads) {
  return guarded<>(-1, [&] {
    const WeightGradient problem{x, x_stride, cin, grad, grad_stride, cout, map, rows};
    if (map && map->num_out != rows) throw std::invalid_argument("the map has another number of outputs");
    if (cin == 0 || cout == 0) return 0;
    if (dtype_index(dtype, 3) == LARTPC_FLOAT64) {
      weight_gradient(problem, dtype, static_cast<double*>(grad_weight), threads);
    } else {
      weight_gradient(problem, dtype, static_cast<float*>(grad_weight), threads);
    }
    return 0;
  });
}

int32_t lartpc_transpose_weight(int32_t dtype, const void* w, int64_t slots, int64_t rows, int64_t columns, void* out,
                                int32_t threads) {
  return guarded<>(-1, [&] {
    dtype_index(dtype, 3);
    parallel_for(slots, threads, [&](int64_t slot, int) {
      const int64_t at = slot * rows * columns;
      const auto transpose = [&](auto zero) {
        using T = decltype(zero);
        transpose_slot(static_cast<const T*>(w) + at, rows, columns, static_cast<T*>(out) + at);
      };
      if (dtype == LARTPC_FLOAT64) {
        transpose(double{});
      } else if (dtype == LARTPC_FLOAT32) {
        transpose(float{});
      } else {
        transpose(uint16_t{});
      }
    });
    return 0;
  });
}

int64_t lartpc_packed_size(int64_t slots, int64_t cin, int64_t cout) {
  return slots * round_up(cin, 2) * round_up(cout, PACKED_COLUMNS);
}

int32_t lartpc_pack_weight(const void* w, int64_t slots, int64_t cin, int64_t cout, void* packed, int32_t threads) {
  return guarded<>(-1, [&] {
    const int64_t size = lartpc_packed_size(1, cin, cout) / 2;
    parallel_for(slots, threads, [&](int64_t slot, int) {
      pack_slot(static_cast<const uint16_t*>(w) + slot * cin * cout, cin, cout,
                static_cast<uint32_t*>(packed) + slot * size);
    });
    return 0;
  });
}

int32_t lartpc_norm_moments(int32_t dtype, const void* x, int64_t x_stride, int64_t n, int64_t channels, double* mean,
                            double* variance, int32_t threads) {
  return guarded<>(-1, [&] {
    norm_moments(dtype_index(dtype, 3), {x, x_stride, nullptr, 0, n, channels, nullptr, 0}, mean, variance, threads);
    return 0;
  });
}

int32_t lartpc_norm_apply(int32_t dtype, const void* x, int64_t x_stride, int64_t n, int64_t channels,
                          const double* scale, const double* shift, double slope, void* y, int32_t threads) {
  return guarded<>(-1, [&] {
    norm_apply(dtype_index(dtype, 3), {x, x_stride, nullptr, 0, n, channels, nullptr, 0}, scale, shift, slope, y, threads);
    return 0;
  });
}

int32_t lartpc_norm_gradient(int32_t dtype, const void* x, int64_t x_stride, const void* grad, int64_t grad_stride,
                             const void* added, int64_t added_stride, int64_t n, int64_t channels,
                             const double* scale, const double* shift, const double* mean, const double* rstd,
                             double slope, void* dx, double* grad_weight, double* grad_bias, int32_t threads) {
  return guarded<>(-1, [&] {
    norm_gradient(dtype_index(dtype, 3), {x, x_stride, grad, grad_stride, n, channels, added, added_stride},
                  {scale, shift, mean, rstd, slope}, dx, grad_weight, grad_bias, threads);
    return 0;
  });
}

int32_t lartpc_near_other_class(const int32_t* coords, const int64_t* label, int64_t n, int32_t dim, double distance,
                                int32_t box, uint8_t* near) {
  return guarded<>(-1, [&] {
    near_other_class(coords, label, n, dim, distance, box != 0, near);
    return 0;
  });
}

int64_t lartpc_near_pairs(const int32_t* coords, const int64_t* label, int64_t n, int32_t dim, int32_t reach,
                          uint64_t far, int64_t capacity, int64_t* pairs) {
  return guarded<>(int64_t{-1}, [&] {
    std::vector<int64_t> found = near_pairs(coords, label, n, dim, reach);
    const std::vector<int64_t> farther = pairs_at(coords, label, n, dim, far);
    found.insert(found.end(), farther.begin(), farther.end());
    const auto number = static_cast<int64_t>(found.size() / 2);
    std::copy_n(found.begin(), 2 * std::min(number, capacity), pairs);
    return number;
  });
}

int64_t lartpc_voxel_coords(const uint64_t* ids, int64_t n, const int64_t* size, int32_t dim, int32_t first_axis_first,
                            int32_t* coords) {
  return guarded<>(int64_t{-1}, [&] { return voxel_coords(ids, n, size, dim, first_axis_first != 0, coords); });
}

int32_t lartpc_score_edges(const float* features, const float* sums, const int32_t* coords, int64_t n,
                           const int64_t* pairs, int64_t num_pairs, const float* difference, const float* way,
                           const float* bias, const float* out, float out_bias, int32_t width, int32_t dim,
                           int32_t hidden, float* scores) {
  return guarded<>(int32_t{-1}, [&] {
    const EdgeNetwork network{difference, way, bias, out, out_bias, width, dim, hidden};
    score_edges(features, sums, coords, n, pairs, num_pairs, network, scores);
    return int32_t{0};
  });
}

int64_t lartpc_agglomerate(const int64_t* pairs, const float* scores, int64_t num_pairs, int64_t num_nodes,
                           double threshold, double certain, int64_t* cluster) {
  return guarded<>(int64_t{-1},
                   [&] { return agglomerate(pairs, scores, num_pairs, num_nodes, threshold, certain, cluster); });
}

double lartpc_fma_peak(int32_t threads, double seconds) {
  return guarded<>(-1.0, [&] {
    std::atomic<int64_t> operations{0};
    const auto start = std::chrono::steady_clock::now();
    const auto elapsed = [&] {
      return std::chrono::duration<double>(std::chrono::steady_clock::now() - start).count();
    };
    parallel_for(threads, threads, [&](int64_t, int) {
      while (elapsed() < seconds) operations += kernels().fma_burst();
    });
    return static_cast<double>(operations) / elapsed() / 1e9;
  });
}
