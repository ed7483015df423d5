// The kernels, compiled once for each instruction set with LARTPC_SPACE (namespace), LARTPC_BYTES (vector size) and
// LARTPC_REGISTERS (vector registers) defined. Vectors are the GCC and Clang extension, so that one text serves
// AVX-512, AVX2, SSE2 and NEON; only the bfloat16 product has an intrinsic.
//
// Every accumulator is named by a compile-time index: an array that a loop walks through would live in memory.

#include <math.h>
#include <cstddef>
#include <cstring>
#include <type_traits>
#include <utility>

#include "kernels.h"

#if defined(LARTPC_BF16_DOT)
#include <immintrin.h>
#endif

#define LARTPC_INLINE inline __attribute__((always_inline))

namespace lartpc {
namespace LARTPC_SPACE {
namespace {

struct BFloat16 {
  uint16_t bits;
};

LARTPC_INLINE float to_float(BFloat16 value) {
  const uint32_t bits = static_cast<uint32_t>(value.bits) << 16;
  float result;
  std::memcpy(&result, &bits, sizeof result);
  return result;
}

// Round to nearest, ties to even; NaN stays NaN.
LARTPC_INLINE BFloat16 to_bfloat16(float value) {
  uint32_t bits;
  std::memcpy(&bits, &value, sizeof bits);
  if ((bits & 0x7fffffffu) > 0x7f800000u) return {static_cast<uint16_t>((bits >> 16) | 0x40)};
  return {static_cast<uint16_t>((bits + 0x7fffu + ((bits >> 16) & 1)) >> 16)};
}

// Vectors of T, and how a format is stored, summed and widened.
template <class T>
struct Simd {
  typedef T V __attribute__((vector_size(LARTPC_BYTES), aligned(alignof(T)), may_alias));
  static constexpr int W = LARTPC_BYTES / sizeof(T);
};

template <class S>
struct Format {
  using Sum = S;
  using Weight = S;
  static constexpr int STEP = 1;  // input channels of one multiply-add
  static LARTPC_INLINE S store(S value) { return value; }
  static LARTPC_INLINE S load(S value) { return value; }
};

template <>
struct Format<BFloat16> {
  using Sum = float;
  using Weight = uint32_t;  // two input channels of one output channel
  static constexpr int STEP = 2;
  static LARTPC_INLINE BFloat16 store(float value) { return to_bfloat16(value); }
  static LARTPC_INLINE float load(BFloat16 value) { return to_float(value); }
};

template <class V, class T>
LARTPC_INLINE V load(const T* from) {
  return *reinterpret_cast<const V*>(from);
}
template <class V, class T>
LARTPC_INLINE void store(T* to, V value) {
  *reinterpret_cast<V*>(to) = value;
}

// ---- tiles: M pairs by N vectors of output channels ----------------------------------------------------------------

// sums[m][n] (+)= sum over c of x[m][c] * w[c][n], for one full-precision format.
template <class T, int M, int N, bool FIRST>
struct Tile {
  using V = typename Simd<T>::V;
  static constexpr int W = Simd<T>::W;

  template <size_t... I, size_t... J, size_t... R>
  static LARTPC_INLINE void run(const T* const* x, T* const* sums, int64_t column, const T* w, int64_t w_row,
                                int64_t channels, std::index_sequence<I...>, std::index_sequence<J...>,
                                std::index_sequence<R...>) {
    V sum[M * N];
    if constexpr (FIRST) {
      ((sum[I] = V{}), ...);
    } else {
      ((sum[I] = load<V>(sums[I / N] + column + (I % N) * W)), ...);
    }
    const T* row[M];
    ((row[R] = x[R] + channels), ...);
    for (int64_t c = -channels; c < 0; ++c) {
      V weight[N];
      ((weight[J] = load<V>(w + J * W)), ...);
      w += w_row;
      (
          [&] {
            constexpr size_t m = R;
            const V value = row[m][c] - V{};  // a broadcast: x - 0 is x
            ((sum[m * N + J] += value * weight[J]), ...);
          }(),
          ...);
    }
    (store<V>(sums[I / N] + column + (I % N) * W, sum[I]), ...);
  }

  static void run(const T* const* x, T* const* sums, int64_t column, const T* w, int64_t w_row, int64_t channels) {
    run(x, sums, column, w, w_row, channels, std::make_index_sequence<M * N>{}, std::make_index_sequence<N>{},
        std::make_index_sequence<M>{});
  }
};

#if defined(LARTPC_BF16_DOT)
using Words = __m512i;
LARTPC_INLINE __m512 dot_pairs(__m512 sum, Words x, Words w) { return _mm512_dpbf16_ps(sum, (__m512bh)x, (__m512bh)w); }
#else
typedef uint32_t Words __attribute__((vector_size(LARTPC_BYTES), aligned(4), may_alias));
using Floats = Simd<float>::V;
LARTPC_INLINE Floats as_floats(Words words) {
  Floats result;
  std::memcpy(&result, &words, sizeof result);
  return result;
}
// What vdpbf16ps computes, in two multiply-adds: the odd channel of the pair first.
LARTPC_INLINE Floats dot_pairs(Floats sum, Words x, Words w) {
  sum += as_floats(x & 0xffff0000u) * as_floats(w & 0xffff0000u);
  sum += as_floats(x << 16) * as_floats(w << 16);
  return sum;
}
#endif

// The same for bfloat16: `channels` pairs of input channels; an odd last channel has a weight of 0 beside it.
template <int M, int N, bool FIRST>
struct Tile<BFloat16, M, N, FIRST> {
  using V = Simd<float>::V;
  static constexpr int W = Simd<float>::W;

  static LARTPC_INLINE Words broadcast(const BFloat16* pair, bool half) {
    uint32_t word;
    if (half) {
      word = pair->bits;  // reading on would leave the row
    } else {
      std::memcpy(&word, pair, sizeof word);
    }
#if defined(LARTPC_BF16_DOT)
    return _mm512_set1_epi32(static_cast<int>(word));
#else
    return word - Words{};
#endif
  }
  static LARTPC_INLINE Words words(const uint32_t* from) {
#if defined(LARTPC_BF16_DOT)
    return _mm512_loadu_si512(from);
#else
    return load<Words>(from);
#endif
  }

  template <bool HALF, size_t... J, size_t... R>
  static LARTPC_INLINE void step(V* sum, const BFloat16* const* row, int64_t c, const uint32_t* w,
                                 std::index_sequence<J...>, std::index_sequence<R...>) {
    Words weight[N];
    ((weight[J] = words(w + J * W)), ...);
    (
        [&] {
          constexpr size_t m = R;
          const Words value = broadcast(row[m] + 2 * c, HALF);
          ((sum[m * N + J] = dot_pairs(sum[m * N + J], value, weight[J])), ...);
        }(),
        ...);
  }

  template <size_t... I, size_t... J, size_t... R>
  static LARTPC_INLINE void run(const BFloat16* const* x, float* const* sums, int64_t column, const uint32_t* w,
                                int64_t w_row, int64_t channels, std::index_sequence<I...>, std::index_sequence<J...>,
                                std::index_sequence<R...>) {
    V sum[M * N];
    if constexpr (FIRST) {
      ((sum[I] = V{}), ...);
    } else {
      ((sum[I] = load<V>(sums[I / N] + column + (I % N) * W)), ...);
    }
    const BFloat16* row[M];
    ((row[R] = x[R]), ...);
    const int64_t pairs = channels / 2;
    for (int64_t c = 0; c < pairs; ++c, w += w_row) {
      step<false>(sum, row, c, w, std::index_sequence<J...>{}, std::index_sequence<R...>{});
    }
    if (channels % 2) step<true>(sum, row, pairs, w, std::index_sequence<J...>{}, std::index_sequence<R...>{});
    (store<V>(sums[I / N] + column + (I % N) * W, sum[I]), ...);
  }

  static void run(const BFloat16* const* x, float* const* sums, int64_t column, const uint32_t* w, int64_t w_row,
                  int64_t channels) {
    run(x, sums, column, w, w_row, channels, std::make_index_sequence<M * N>{}, std::make_index_sequence<N>{},
        std::make_index_sequence<M>{});
  }
};

// Pairs of a full tile for N vectors: as many accumulators as the registers hold beside N weights and one broadcast.
constexpr int MAX_VECTORS = LARTPC_REGISTERS >= 32 ? 4 : 2;
constexpr int tile_pairs(int vectors) {
  if (LARTPC_REGISTERS >= 32) return vectors == 4 ? 6 : vectors == 3 ? 8 : 12;
  return vectors == 2 ? 6 : 8;
}
constexpr int MAX_PAIRS = LARTPC_REGISTERS >= 32 ? 12 : 8;

// Vectors of the next panel when `left` are to be done: 4 and 3 are the best tiles, a lone one the worst.
constexpr int next_panel(int64_t left) {
  if (MAX_VECTORS == 2) return left >= 2 ? 2 : 1;
  if (left <= 4) return static_cast<int>(left);
  return left == 5 || left == 6 || left == 9 ? 3 : 4;
}

template <class S, int N, bool FIRST, int M>
void rest_of_pairs(int64_t count, const S* const* x, typename Format<S>::Sum* const* sums, int64_t column,
                   const typename Format<S>::Weight* w, int64_t w_row, int64_t channels) {
  if constexpr (M > 0) {
    if (count == M) {
      Tile<S, M, N, FIRST>::run(x, sums, column, w, w_row, channels);
    } else {
      rest_of_pairs<S, N, FIRST, M - 1>(count, x, sums, column, w, w_row, channels);
    }
  }
}

template <class S, int N, bool FIRST>
void run_panel(int64_t pairs, const S* const* x, typename Format<S>::Sum* const* sums, int64_t column,
               const typename Format<S>::Weight* w, int64_t w_row, int64_t channels) {
  constexpr int M = tile_pairs(N);
  int64_t pair = 0;
  for (; pair + M <= pairs; pair += M) {
    Tile<S, M, N, FIRST>::run(x + pair, sums + pair, column, w, w_row, channels);
  }
  rest_of_pairs<S, N, FIRST, M - 1>(pairs - pair, x + pair, sums + pair, column, w, w_row, channels);
}

template <class S, bool FIRST>
void run_panel(int vectors, int64_t pairs, const S* const* x, typename Format<S>::Sum* const* sums, int64_t column,
               const typename Format<S>::Weight* w, int64_t w_row, int64_t channels) {
  if constexpr (MAX_VECTORS == 4) {
    if (vectors == 4) return run_panel<S, 4, FIRST>(pairs, x, sums, column, w, w_row, channels);
    if (vectors == 3) return run_panel<S, 3, FIRST>(pairs, x, sums, column, w, w_row, channels);
  }
  if (vectors == 2) return run_panel<S, 2, FIRST>(pairs, x, sums, column, w, w_row, channels);
  run_panel<S, 1, FIRST>(pairs, x, sums, column, w, w_row, channels);
}

// ---- one slot of one block -----------------------------------------------------------------------------------------

enum Drawer { SUMS, POINTERS, INPUTS, PANEL };

constexpr int64_t CHUNK = 256;  // input channels of a weight panel: it has to stay in the first- or second-level cache
constexpr int64_t WIDE = 6;     // vectors of a weight row from which copying a panel pays

// Weight panel: `channels` rows of `columns` used out of `padded`, side by side.
template <class T>
void copy_panel(const T* w, int64_t w_row, int64_t channels, int64_t columns, int64_t padded, T* panel) {
  for (int64_t c = 0; c < channels; ++c) {
    std::memcpy(panel + c * padded, w + c * w_row, static_cast<size_t>(columns) * sizeof(T));
    for (int64_t j = columns; j < padded; ++j) panel[c * padded + j] = T{};
  }
}

template <class S, bool FIRST>
void run_slot(const LartpcTerm& term, int64_t slot, int64_t cout, int64_t pairs, const S** x,
              typename Format<S>::Sum* const* sums, Workspace& workspace) {
  using Weight = typename Format<S>::Weight;
  constexpr int W = Simd<typename Format<S>::Sum>::W;
  const Weight* weight = static_cast<const Weight*>(term.w) + slot * term.w_slot;
  const int64_t vectors = (cout + W - 1) / W;
  for (int64_t begin = 0; begin < term.cin; begin += CHUNK) {
    const int64_t channels = term.cin - begin < CHUNK ? term.cin - begin : CHUNK;
    if (begin) {
      for (int64_t pair = 0; pair < pairs; ++pair) x[pair] += CHUNK;
    }
    for (int64_t vector = 0; vector < vectors;) {
      const int panel = next_panel(vectors - vector);
      const int64_t column = vector * W;
      const Weight* w = weight + begin / Format<S>::STEP * term.w_row + column;
      int64_t w_row = term.w_row;
      const bool ragged = column + panel * W > cout;
      if (ragged || (vectors >= WIDE && pairs >= 2 * tile_pairs(panel))) {
        Weight* copy = workspace.get<Weight>(PANEL, CHUNK * MAX_VECTORS * W);
        const int64_t w_rows = (channels + Format<S>::STEP - 1) / Format<S>::STEP;
        copy_panel(w, w_row, w_rows, ragged ? cout - column : panel * W, panel * W, copy);
        w = copy;
        w_row = panel * W;
      }
      if (FIRST && begin == 0) {
        run_panel<S, true>(panel, pairs, x, sums, column, w, w_row, channels);
      } else {
        run_panel<S, false>(panel, pairs, x, sums, column, w, w_row, channels);
      }
      vector += panel;
    }
  }
}

// ---- one block -----------------------------------------------------------------------------------------------------

// ELU with alpha 1, GELU in its exact form: torch's defaults.
LARTPC_INLINE float activate(float value, int32_t activation) {
  if (activation == LARTPC_ELU) return value < 0 ? expm1f(value) : value;
  return 0.5f * value * (1.0f + erff(value * 0.70710678f));
}
LARTPC_INLINE double activate(double value, int32_t activation) {
  if (activation == LARTPC_ELU) return value < 0 ? expm1(value) : value;
  return 0.5 * value * (1.0 + erf(value * 0.70710678118654752));
}

template <class S>
void write_row(const Convolution& problem, int64_t row, const typename Format<S>::Sum* sum, const float* bias,
               typename Format<S>::Sum* line) {
  using T = typename Format<S>::Sum;
  const int64_t n = problem.cout;
  const S* residual =
      problem.residual ? static_cast<const S*>(problem.residual) + row * problem.residual_stride : nullptr;
  if (bias || residual) {
    if (bias && residual) {
      for (int64_t c = 0; c < n; ++c) line[c] = sum[c] + bias[c] + Format<S>::load(residual[c]);
    } else if (bias) {
      for (int64_t c = 0; c < n; ++c) line[c] = sum[c] + bias[c];
    } else {
      for (int64_t c = 0; c < n; ++c) line[c] = sum[c] + Format<S>::load(residual[c]);
    }
    sum = line;
  }
  for (int32_t o = 0; o < problem.num_outputs; ++o) {
    const LartpcOutput& out = problem.outputs[o];
    S* y = static_cast<S*>(out.y) + row * out.y_stride;
    const T slope = out.slope;
    const bool relu = slope == 0;  // of minus infinity, too
    if (out.activation == LARTPC_ELU || out.activation == LARTPC_GELU) {
      for (int64_t c = 0; c < n; ++c) {
        const T value = (out.scale ? sum[c] * out.scale[c] : sum[c]) + (out.shift ? out.shift[c] : T{0});
        y[c] = Format<S>::store(activate(value, out.activation));
      }
    } else if (out.activation == LARTPC_LEAKY_RELU && out.scale && out.shift) {
      for (int64_t c = 0; c < n; ++c) {
        const T value = sum[c] * out.scale[c] + out.shift[c];
        y[c] = Format<S>::store(value < 0 ? (relu ? T{0} : value * slope) : value);
      }
    } else {
      const bool linear = out.activation == LARTPC_IDENTITY;
      for (int64_t c = 0; c < n; ++c) {
        const T value = (out.scale ? sum[c] * out.scale[c] : sum[c]) + (out.shift ? out.shift[c] : T{0});
        y[c] = Format<S>::store(linear || !(value < 0) ? value : (relu ? T{0} : value * slope));
      }
    }
  }
}

template <class S>
void convolve_block(const Convolution& problem, int64_t block_number, Workspace& workspace) {
  using T = typename Format<S>::Sum;
  const int64_t first = block_number * BLOCK_ROWS;
  const int64_t rows = problem.num_out - first < BLOCK_ROWS ? problem.num_out - first : BLOCK_ROWS;
  const int64_t padded = round_up(problem.cout, std::is_same<S, BFloat16>::value ? PACKED_COLUMNS : Simd<T>::W);
  T* sums = workspace.get<T>(SUMS, (rows + 1) * padded);
  T** sum_of_pair = workspace.get<T*>(POINTERS, BLOCK_ROWS);
  const S** input_of_pair = workspace.get<const S*>(INPUTS, BLOCK_ROWS);
  const int32_t* order = nullptr;
  for (int32_t t = 0; t < problem.num_terms; ++t) {
    const LartpcMap* map = problem.terms[t].map;
    if (map && map->out_order) order = map->out_order->data();
  }

  const auto run = [&](const LartpcTerm& term, int64_t slot, int64_t pairs, bool fresh) {
    // Packed bfloat16 weights have columns up to the padding.
    const int64_t columns = std::is_same<S, BFloat16>::value ? padded : problem.cout;
    if (fresh) return run_slot<S, true>(term, slot, columns, pairs, input_of_pair, sum_of_pair, workspace);
    run_slot<S, false>(term, slot, columns, pairs, input_of_pair, sum_of_pair, workspace);
  };
  const auto weight_slot = [](const LartpcTerm& term, int64_t slot) {
    return term.map && term.reversed ? term.map->slots - 1 - slot : slot;
  };

  bool fresh = true;  // nothing has been summed yet
  for (int32_t t = 0; t < problem.num_terms; ++t) {
    const LartpcTerm& term = problem.terms[t];
    if (term.cin == 0) continue;
    const S* x = static_cast<const S*>(term.x);
    // The slot in which every voxel meets itself comes first: it writes all sums, so that they need no clearing.
    const int64_t identity = term.map ? term.map->identity_slot : 0;
    if (identity >= 0) {
      for (int64_t i = 0; i < rows; ++i) {
        input_of_pair[i] = x + (order ? order[first + i] : first + i) * term.x_stride;
        sum_of_pair[i] = sums + i * padded;
      }
      run(term, weight_slot(term, identity), rows, fresh);
      fresh = false;
    }
    if (!term.map) continue;
    if (fresh) std::memset(sums, 0, static_cast<size_t>(rows * padded) * sizeof(T));
    fresh = false;
    const Block& block = term.map->blocks[block_number];
    for (int32_t slot = 0; slot < term.map->slots; ++slot) {
      const int32_t begin = block.slot_start[slot], pairs = block.slot_start[slot + 1] - begin;
      if (slot == identity || pairs == 0) continue;
      for (int32_t pair = 0; pair < pairs; ++pair) {
        input_of_pair[pair] = x + block.in_rows[begin + pair] * term.x_stride;
        sum_of_pair[pair] = sums + block.outputs[begin + pair] * padded;
      }
      run(term, weight_slot(term, slot), pairs, false);
    }
  }
  if (fresh) std::memset(sums, 0, static_cast<size_t>(rows * padded) * sizeof(T));
  for (int64_t i = 0; i < rows; ++i) {
    write_row<S>(problem, order ? order[first + i] : first + i, sums + i * padded, problem.bias, sums + rows * padded);
  }
}

// ---- gradient of the weight ----------------------------------------------------------------------------------------

// sum[m][n] += sum over pairs of x[pair][m] * grad[pair][n].
template <class T, int M, int N>
struct OuterTile {
  using V = typename Simd<T>::V;
  static constexpr int W = Simd<T>::W;

  template <size_t... I, size_t... J, size_t... R>
  static LARTPC_INLINE void run(int64_t pairs, const T* const* x, int64_t channel, const T* const* grad, int64_t column,
                                T* sums, int64_t sum_row, std::index_sequence<I...>, std::index_sequence<J...>,
                                std::index_sequence<R...>) {
    V sum[M * N];
    ((sum[I] = load<V>(sums + static_cast<int64_t>(I / N) * sum_row + (I % N) * W)), ...);
    for (int64_t pair = 0; pair < pairs; ++pair) {
      const T* row = x[pair] + channel;
      const T* other = grad[pair] + column;
      V value[N];
      ((value[J] = load<V>(other + J * W)), ...);
      (
          [&] {
            constexpr size_t m = R;
            const V factor = row[m] - V{};
            ((sum[m * N + J] += factor * value[J]), ...);
          }(),
          ...);
    }
    (store<V>(sums + static_cast<int64_t>(I / N) * sum_row + (I % N) * W, sum[I]), ...);
  }

  static void run(int64_t pairs, const T* const* x, int64_t channel, const T* const* grad, int64_t column, T* sums,
                  int64_t sum_row) {
    run(pairs, x, channel, grad, column, sums, sum_row, std::make_index_sequence<M * N>{},
        std::make_index_sequence<N>{}, std::make_index_sequence<M>{});
  }
};

template <class T, int N, int M>
void rest_of_channels(int64_t count, int64_t pairs, const T* const* x, int64_t channel, const T* const* grad,
                      int64_t column, T* sums, int64_t sum_row) {
  if constexpr (M > 0) {
    if (count == M) {
      OuterTile<T, M, N>::run(pairs, x, channel, grad, column, sums, sum_row);
    } else {
      rest_of_channels<T, N, M - 1>(count, pairs, x, channel, grad, column, sums, sum_row);
    }
  }
}

template <class T, int N>
void outer_panel(int64_t pairs, const T* const* x, int64_t begin, int64_t end, const T* const* grad, int64_t column,
                 T* sums, int64_t sum_row) {
  constexpr int M = tile_pairs(N);
  int64_t channel = begin;
  for (; channel + M <= end; channel += M) {
    OuterTile<T, M, N>::run(pairs, x, channel, grad, column, sums + channel * sum_row + column, sum_row);
  }
  rest_of_channels<T, N, M - 1>(end - channel, pairs, x, channel, grad, column, sums + channel * sum_row + column,
                                sum_row);
}

template <class T>
void weight_gradient(const WeightGradient& problem, int64_t first_block, int64_t last_block, int64_t row_begin,
                     int64_t row_end, void* sum, Workspace& workspace) {
  constexpr int W = Simd<T>::W;
  const LartpcMap& map = *problem.map;
  const int64_t cout = problem.cout, padded = round_up(cout, W), vectors = padded / W;
  const T** x = workspace.get<const T*>(INPUTS, BLOCK_ROWS);
  const T** grad = workspace.get<const T*>(POINTERS, BLOCK_ROWS);
  for (int64_t b = first_block; b < last_block; ++b) {
    const int64_t rows = map.num_outputs(b), first = map.first_output(b);
    const T* gradients = static_cast<const T*>(problem.grad);
    T* copy = nullptr;
    if (padded != cout) {  // a vector must not read beyond a row
      copy = workspace.get<T>(SUMS, rows * padded);
      for (int64_t i = 0; i < rows; ++i) {
        copy_panel(gradients + map.out_row(first + i) * problem.grad_stride, 0, 1, cout, padded, copy + i * padded);
      }
    }
    const Block& block = map.blocks[b];
    for (int32_t slot = 0; slot < map.slots; ++slot) {
      const int32_t begin = block.slot_start[slot], pairs = block.slot_start[slot + 1] - begin;
      if (pairs == 0) continue;
      for (int32_t pair = 0; pair < pairs; ++pair) {
        const int64_t output = block.outputs[begin + pair];
        x[pair] = static_cast<const T*>(problem.x) + block.in_rows[begin + pair] * problem.x_stride;
        grad[pair] = copy ? copy + output * padded : gradients + map.out_row(first + output) * problem.grad_stride;
      }
      T* sums = static_cast<T*>(sum) + slot * problem.cin * padded;
      for (int64_t vector = 0; vector < vectors;) {
        const int panel = next_panel(vectors - vector);
        const int64_t column = vector * W;
        if constexpr (MAX_VECTORS == 4) {
          if (panel == 4) outer_panel<T, 4>(pairs, x, row_begin, row_end, grad, column, sums, padded);
          if (panel == 3) outer_panel<T, 3>(pairs, x, row_begin, row_end, grad, column, sums, padded);
        }
        if (panel == 2) outer_panel<T, 2>(pairs, x, row_begin, row_end, grad, column, sums, padded);
        if (panel == 1) outer_panel<T, 1>(pairs, x, row_begin, row_end, grad, column, sums, padded);
        vector += panel;
      }
    }
  }
}

// ---- the yardstick -------------------------------------------------------------------------------------------------

template <size_t... I>
int64_t fma_burst(std::index_sequence<I...>) {
  using V = Simd<float>::V;
  constexpr int64_t STEPS = 100000;
  V sum[sizeof...(I)];
  ((sum[I] = V{} + static_cast<float>(I)), ...);
  V factor = V{} + 0.999999f, term = V{} + 1e-9f;
  for (int64_t step = 0; step < STEPS; ++step) {
    ((sum[I] = sum[I] * factor + term), ...);
    asm volatile("" : : : "memory");
  }
  ((term += sum[I]), ...);
  volatile float keep = term[0];
  (void)keep;
  return STEPS * static_cast<int64_t>(sizeof...(I)) * 2 * Simd<float>::W;
}

int64_t fma_burst() { return fma_burst(std::make_index_sequence<LARTPC_REGISTERS >= 32 ? 20 : 10>{}); }

}  // namespace
}  // namespace LARTPC_SPACE

// Constant-initialised, so that loading the library runs no instruction that this processor may not have.
#define LARTPC_KERNELS(isa, space, runs_here)                                                                      \
  {                                                                                                                \
    isa, runs_here, {space::convolve_block<float>, space::convolve_block<double>, space::convolve_block<space::BFloat16>}, \
        {space::weight_gradient<float>, space::weight_gradient<double>},                                           \
        {space::Simd<float>::W, space::Simd<double>::W}, space::fma_burst                                          \
  }

}  // namespace lartpc
