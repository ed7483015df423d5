// The kernels, compiled once for each instruction set with LARTPC_SPACE (namespace), LARTPC_BYTES (vector size) and
// LARTPC_REGISTERS (vector registers) defined. Vectors are the GCC and Clang extension, so that one text serves
// AVX-512, AVX2, SSE2 and NEON; only bfloat16 has intrinsics, where a compiler would not find the
// instruction.
//
// Every accumulator is named by a compile-time index: an array that a loop walks through would live in memory. Loops
// over what is summed run at least once, and say so: else GCC keeps room on the stack for the sums of no pass at all, and
// every tile goes through it (32 stores and 16 loads of vectors beside the 24 that it needs).

#include <math.h>
#include <cstddef>
#include <cstring>
#include <type_traits>
#include <utility>

#include "kernels.h"

#if defined(__AVX512BW__)
#include <immintrin.h>
#endif

#define LARTPC_INLINE inline __attribute__((always_inline))
#define LARTPC_NOT_EMPTY(count) \
  if ((count) <= 0) __builtin_unreachable()

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
  typedef T V __attribute__((vector_size(LARTPC_BYTES)));
  static constexpr int W = LARTPC_BYTES / sizeof(T);
};

typedef uint16_t Halves __attribute__((vector_size(LARTPC_BYTES / 2)));
typedef uint32_t Singles __attribute__((vector_size(LARTPC_BYTES)));

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

// Vectors may lie anywhere: through memcpy, because a template argument loses the alignment of a vector type.
template <class V, class T>
LARTPC_INLINE V load(const T* from) {
  V value;
  std::memcpy(&value, from, sizeof value);
  return value;
}
template <class V, class T>
LARTPC_INLINE void store(T* to, V value) {
  std::memcpy(to, &value, sizeof value);
}

// ---- tiles: M pairs by N vectors of output channels ----------------------------------------------------------------

// The pairs of a slot, as the rows to read and the sums to add to. The rows have MAX_PAIRS entries to spare, which are
// fetched and not used.
template <class S>
struct Pairs {
  const S* const* inputs;
  typename Format<S>::Sum* const* outputs;

  Pairs from(int64_t pair) const { return {inputs + pair, outputs + pair}; }
};

// sums[m][n] (+)= sum over c of x[m][c] * w[c][n], for one full-precision format.
template <class T, int M, int N, bool FIRST>
struct Tile {
  using V = typename Simd<T>::V;
  static constexpr int W = Simd<T>::W;
  static constexpr int64_t LINE = 64 / sizeof(T);

  template <size_t... I, size_t... J, size_t... R>
  static LARTPC_INLINE void run(Pairs<T> pairs, int64_t column, const T* w, int64_t w_row, int64_t channels,
                                std::index_sequence<I...>, std::index_sequence<J...>, std::index_sequence<R...>) {
    V sum[M * N];
    T* out[M];
    ((out[R] = pairs.outputs[R] + column), ...);
    ((sum[I] = V{}), ...);
    const T* row[M];
    ((row[R] = pairs.inputs[R]), ...);
    LARTPC_NOT_EMPTY(channels);
    for (int64_t begin = 0; begin < channels; begin += LINE) {
      ((__builtin_prefetch(pairs.inputs[M + R] + begin)), ...);  // of the next tile: its rows lie anywhere
      const int64_t end = begin + LINE < channels ? begin + LINE : channels;
#pragma GCC unroll 4
      for (int64_t c = begin; c < end; ++c) {
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
    }
    if constexpr (!FIRST) ((sum[I] += load<V>(out[I / N] + (I % N) * W)), ...);
    (store<V>(out[I / N] + (I % N) * W, sum[I]), ...);
  }

  static LARTPC_INLINE void run(Pairs<T> pairs, int64_t column, const T* w, int64_t w_row, int64_t channels) {
    run(pairs, column, w, w_row, channels, std::make_index_sequence<M * N>{}, std::make_index_sequence<N>{},
        std::make_index_sequence<M>{});
  }
};

#if defined(LARTPC_BF16_DOT)
using Words = __m512i;
LARTPC_INLINE __m512 dot_pairs(__m512 sum, Words x, Words w) { return _mm512_dpbf16_ps(sum, (__m512bh)x, (__m512bh)w); }
#else
typedef uint32_t Words __attribute__((vector_size(LARTPC_BYTES)));
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

LARTPC_INLINE Words broadcast_word(uint32_t word) {
#if defined(LARTPC_BF16_DOT)
  return _mm512_set1_epi32(static_cast<int>(word));
#else
  return word - Words{};
#endif
}

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
    return broadcast_word(word);
  }

  template <bool HALF, size_t... J, size_t... R>
  static LARTPC_INLINE void step(V* sum, const BFloat16* const* row, int64_t c, const uint32_t* w,
                                 std::index_sequence<J...>, std::index_sequence<R...>) {
    Words weight[N];
    ((weight[J] = load<Words>(w + J * W)), ...);
    (
        [&] {
          constexpr size_t m = R;
          const Words value = broadcast(row[m] + 2 * c, HALF);
          ((sum[m * N + J] = dot_pairs(sum[m * N + J], value, weight[J])), ...);
        }(),
        ...);
  }

  template <size_t... I, size_t... J, size_t... R>
  static LARTPC_INLINE void run(Pairs<BFloat16> pairs, int64_t column, const uint32_t* w, int64_t w_row,
                                int64_t channels, std::index_sequence<I...>, std::index_sequence<J...>, std::index_sequence<R...> each) {
    V sum[M * N];
    float* out[M];
    ((out[R] = pairs.outputs[R] + column), ...);
    if constexpr (FIRST) {
      ((sum[I] = V{}), ...);
    } else {
      ((sum[I] = load<V>(out[I / N] + (I % N) * W)), ...);
    }
    const BFloat16* row[M];
    ((row[R] = pairs.inputs[R]), ...);
    const int64_t words = channels / 2;
    for (int64_t c = 0; c < words; ++c, w += w_row) {
      step<false>(sum, row, c, w, std::index_sequence<J...>{}, each);
    }
    if (channels % 2) step<true>(sum, row, words, w, std::index_sequence<J...>{}, each);
    (store<V>(out[I / N] + (I % N) * W, sum[I]), ...);
  }

  static void run(Pairs<BFloat16> pairs, int64_t column, const uint32_t* w, int64_t w_row, int64_t channels) {
    run(pairs, column, w, w_row, channels, std::make_index_sequence<M * N>{}, std::make_index_sequence<N>{},
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
void rest_of_pairs(int64_t count, Pairs<S> pairs, int64_t column, const typename Format<S>::Weight* w, int64_t w_row,
                   int64_t channels) {
  if constexpr (M > 0) {
    if (count == M) {
      Tile<S, M, N, FIRST>::run(pairs, column, w, w_row, channels);
    } else {
      rest_of_pairs<S, N, FIRST, M - 1>(count, pairs, column, w, w_row, channels);
    }
  }
}

// Memory that is needed soon, fetched a few lines a tile so that it arrives while there is something to compute.
class Stream {
 public:
  // Asks for a piece of memory; what does not fit in the list is left to arrive when it is used.
  void add(const void* begin, int64_t bytes, bool for_writing) {
    if (count_ == CAPACITY || bytes <= 0) return;
    pieces_[count_++] = {static_cast<const char*>(begin), static_cast<const char*>(begin) + bytes, for_writing};
    lines_ += bytes / 64 + 1;
  }
  void spread_over(int64_t tiles) { lines_a_tile_ = static_cast<int>(lines_ / (tiles > 0 ? tiles : 1) + 1); }
  void clear() { count_ = at_ = 0, lines_ = 0; }

  LARTPC_INLINE void advance() {
    if (at_ == count_) return;
    Piece& piece = pieces_[at_];
    for (int line = 0; line < lines_a_tile_; ++line, piece.next += 64) {
      if (piece.for_writing) {
        __builtin_prefetch(piece.next, 1, 2);
      } else {
        __builtin_prefetch(piece.next, 0, 2);
      }
    }
    if (piece.next >= piece.end) ++at_;
  }

 private:
  static constexpr int CAPACITY = 8;
  struct Piece {
    const char* next;
    const char* end;
    bool for_writing;
  };
  Piece pieces_[CAPACITY];
  int count_ = 0, at_ = 0, lines_a_tile_ = 0;
  int64_t lines_ = 0;
};

template <class S, int N, bool FIRST>
void run_panel(int64_t count, Pairs<S> pairs, int64_t column, const typename Format<S>::Weight* w, int64_t w_row,
               int64_t channels, Stream& stream) {
  constexpr int M = tile_pairs(N);
  int64_t pair = 0;
  for (; pair + M <= count; pair += M) {
    stream.advance();
    Tile<S, M, N, FIRST>::run(pairs.from(pair), column, w, w_row, channels);
  }
  rest_of_pairs<S, N, FIRST, M - 1>(count - pair, pairs.from(pair), column, w, w_row, channels);
}

template <class S, bool FIRST>
void run_panel(int vectors, int64_t count, Pairs<S> pairs, int64_t column, const typename Format<S>::Weight* w,
               int64_t w_row, int64_t channels, Stream& stream) {
  if constexpr (MAX_VECTORS == 4) {
    if (vectors == 4) return run_panel<S, 4, FIRST>(count, pairs, column, w, w_row, channels, stream);
    if (vectors == 3) return run_panel<S, 3, FIRST>(count, pairs, column, w, w_row, channels, stream);
  }
  if (vectors == 2) return run_panel<S, 2, FIRST>(count, pairs, column, w, w_row, channels, stream);
  run_panel<S, 1, FIRST>(count, pairs, column, w, w_row, channels, stream);
}

// ---- one slot of one block -----------------------------------------------------------------------------------------

enum Drawer { SUMS, ROWS, INPUTS, OUTPUTS, PANEL, FACTORS };

constexpr int64_t LARGEST_STREAM = 256 << 10;  // bytes of input fetched for the next block
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

// One list of pairs of a slot: rows of the input and sums, both by number.
template <class S>
struct PairList {
  const int32_t* in_rows;
  const uint16_t* outputs;
  int64_t count;
  const S* x;
  int64_t x_stride;
  typename Format<S>::Sum* sums;
  int64_t sum_stride;
};

// The numbers of a list as addresses: loops that become vector instructions, once for all panels of the weight.
template <class S>
Pairs<S> resolve(const PairList<S>& list, int64_t channel, Workspace& workspace) {
  using T = typename Format<S>::Sum;
  const S** __restrict inputs = workspace.get<const S*>(INPUTS, MOST_BLOCK_ROWS + MAX_PAIRS);
  T** __restrict outputs = workspace.get<T*>(OUTPUTS, MOST_BLOCK_ROWS);
  const S* x = list.x + channel;
  for (int64_t pair = 0; pair < list.count; ++pair) inputs[pair] = x + list.in_rows[pair] * list.x_stride;
  for (int64_t pair = 0; pair < list.count; ++pair) outputs[pair] = list.sums + list.outputs[pair] * list.sum_stride;
  for (int64_t spare = 0; spare < MAX_PAIRS; ++spare) inputs[list.count + spare] = inputs[list.count - 1];
  return {inputs, outputs};
}

template <class S, bool FIRST>
void run_slot(const LartpcTerm& term, int64_t slot, int64_t cout, const PairList<S>& list, Stream& stream,
              Workspace& workspace) {
  using Weight = typename Format<S>::Weight;
  constexpr int W = Simd<typename Format<S>::Sum>::W;
  const Weight* weight = static_cast<const Weight*>(term.w) + slot * term.w_slot;
  const int64_t vectors = (cout + W - 1) / W;
  for (int64_t begin = 0; begin < term.cin; begin += CHUNK) {
    const int64_t channels = term.cin - begin < CHUNK ? term.cin - begin : CHUNK;
    const Pairs<S> pairs = resolve(list, begin, workspace);
    for (int64_t vector = 0; vector < vectors;) {
      const int panel = next_panel(vectors - vector);
      const int64_t column = vector * W;
      const Weight* w = weight + begin / Format<S>::STEP * term.w_row + column;
      int64_t w_row = term.w_row;
      const bool ragged = column + panel * W > cout;
      if (ragged || (vectors >= WIDE && list.count >= 2 * tile_pairs(panel))) {
        Weight* copy = workspace.get<Weight>(PANEL, CHUNK * MAX_VECTORS * W);
        const int64_t w_rows = (channels + Format<S>::STEP - 1) / Format<S>::STEP;
        copy_panel(w, w_row, w_rows, ragged ? cout - column : panel * W, panel * W, copy);
        w = copy;
        w_row = panel * W;
      }
      if (FIRST && begin == 0) {
        run_panel<S, true>(panel, list.count, pairs, column, w, w_row, channels, stream);
      } else {
        run_panel<S, false>(panel, list.count, pairs, column, w, w_row, channels, stream);
      }
      vector += panel;
    }
  }
}

// ---- one block -----------------------------------------------------------------------------------------------------

constexpr int RELU = -1;  // leaky ReLU of slope 0

// ELU with alpha 1, GELU in its exact form: torch's defaults.
LARTPC_INLINE float activate(float value, int32_t activation) {
  if (activation == LARTPC_ELU) return value < 0 ? expm1f(value) : value;
  return 0.5f * value * (1.0f + erff(value * 0.70710678f));
}
LARTPC_INLINE double activate(double value, int32_t activation) {
  if (activation == LARTPC_ELU) return value < 0 ? expm1(value) : value;
  return 0.5 * value * (1.0 + erf(value * 0.70710678118654752));
}

typedef uint16_t Half __attribute__((vector_size(LARTPC_BYTES / 2)));
typedef uint32_t Bits __attribute__((vector_size(LARTPC_BYTES)));

// A vector of a row in either format, as sums.
template <class S>
LARTPC_INLINE typename Simd<typename Format<S>::Sum>::V load_row(const S* from) {
  using T = typename Format<S>::Sum;
  if constexpr (std::is_same<S, BFloat16>::value) {
    const Bits bits = __builtin_convertvector(load<Half>(from), Bits) << 16;
    typename Simd<T>::V result;
    std::memcpy(&result, &bits, sizeof result);
    return result;
  } else {
    return load<typename Simd<T>::V>(from);
  }
}

template <class S>
LARTPC_INLINE void store_row(S* to, typename Simd<typename Format<S>::Sum>::V value) {
  using T = typename Format<S>::Sum;
  if constexpr (std::is_same<S, BFloat16>::value) {
    Bits bits;
    std::memcpy(&bits, &value, sizeof bits);
    const Bits rounded = (bits + 0x7fffu + ((bits >> 16) & 1)) >> 16;
    const Bits nan = (bits >> 16) | 0x40;
    const Bits kept = (bits & 0x7fffffffu) > 0x7f800000u ? nan : rounded;
    store<Half>(to, __builtin_convertvector(kept, Half));
  } else {
    store<typename Simd<T>::V>(to, value);
  }
}

// sums[c] = scale[c] * sums[c] + shift[c], activated, into y; all but y have room up to a whole vector.
template <class S, int ACTIVATION>
LARTPC_INLINE void write_row(const typename Format<S>::Sum* sums, const typename Format<S>::Sum* scale,
                             const typename Format<S>::Sum* shift, typename Format<S>::Sum slope, int64_t n, S* y) {
  using T = typename Format<S>::Sum;
  using V = typename Simd<T>::V;
  constexpr int W = Simd<T>::W;
  const V zero{};
  for (int64_t c = 0; c < n; c += W) {
    V value = load<V>(sums + c) * load<V>(scale + c) + load<V>(shift + c);
    if constexpr (ACTIVATION == LARTPC_LEAKY_RELU) value = value < zero ? value * slope : value;
    if constexpr (ACTIVATION == RELU) value = value < zero ? zero : value;  // keeps NaN
    if (c + W <= n) {
      store_row<S>(y + c, value);
    } else {
      for (int64_t j = c; j < n; ++j) y[j] = Format<S>::store(value[j - c]);
    }
  }
}

// The sums of a row with bias and residual added, in `line`.
template <class S>
LARTPC_INLINE void complete_row(const typename Format<S>::Sum* sums, const typename Format<S>::Sum* bias,
                                const S* residual, int64_t n, typename Format<S>::Sum* line) {
  using T = typename Format<S>::Sum;
  using V = typename Simd<T>::V;
  constexpr int W = Simd<T>::W;
  for (int64_t c = 0; c < n; c += W) {
    V value = load<V>(sums + c) + load<V>(bias + c);
    if (residual && c + W <= n) {
      value += load_row<S>(residual + c);
    } else if (residual) {
      for (int64_t j = c; j < n; ++j) value[j - c] += Format<S>::load(residual[j]);
    }
    store<V>(line + c, value);
  }
}

// Everything that follows the sums of a block, row by row.
template <class S>
void write_block(const Convolution& problem, const int32_t* order, int64_t first, int64_t rows, int64_t padded,
                 const typename Format<S>::Sum* sums, Workspace& workspace) {
  using T = typename Format<S>::Sum;
  const int64_t n = problem.cout;
  // Padded copies of bias, scales and shifts, so that whole vectors can be read.
  T* factors = workspace.get<T>(FACTORS, (2 + 2 * problem.num_outputs) * padded);
  T* line = factors;
  T* bias = factors + padded;
  for (int64_t c = 0; c < padded; ++c) bias[c] = problem.bias && c < n ? problem.bias[c] : T{0};
  for (int32_t o = 0; o < problem.num_outputs; ++o) {
    const LartpcOutput& out = problem.outputs[o];
    T* scale = factors + (2 + 2 * o) * padded;
    for (int64_t c = 0; c < padded; ++c) {
      scale[c] = out.scale && c < n ? out.scale[c] : T{1};
      scale[padded + c] = out.shift && c < n ? out.shift[c] : T{0};
    }
  }
  const bool complete = !problem.bias && !problem.residual;
  for (int64_t i = 0; i < rows; ++i) {
    const int64_t row = order ? order[first + i] : first + i;
    const T* sum = sums + i * padded;
    if (!complete) {
      const S* residual =
          problem.residual ? static_cast<const S*>(problem.residual) + row * problem.residual_stride : nullptr;
      complete_row<S>(sum, bias, residual, n, line);
      sum = line;
    }
    for (int32_t o = 0; o < problem.num_outputs; ++o) {
      const LartpcOutput& out = problem.outputs[o];
      const T* scale = factors + (2 + 2 * o) * padded;
      const T* shift = scale + padded;
      const T slope = out.slope;
      S* y = static_cast<S*>(out.y) + row * out.y_stride;
      if (out.activation == LARTPC_IDENTITY) {
        write_row<S, LARTPC_IDENTITY>(sum, scale, shift, slope, n, y);
      } else if (out.activation == LARTPC_LEAKY_RELU && slope == 0) {
        write_row<S, RELU>(sum, scale, shift, slope, n, y);
      } else if (out.activation == LARTPC_LEAKY_RELU) {
        write_row<S, LARTPC_LEAKY_RELU>(sum, scale, shift, slope, n, y);
      } else {
        for (int64_t c = 0; c < n; ++c) y[c] = Format<S>::store(activate(sum[c] * scale[c] + shift[c], out.activation));
      }
    }
  }
}

// What a block reads and writes besides the rows of its neighbours, asked for ahead of time where rows lie side by side.
template <class S>
void plan_stream(const Convolution& problem, int64_t first, int64_t rows, Stream& stream) {
  const int64_t left = problem.num_out - first - rows;
  const int64_t next_rows = left < rows ? left : rows;
  int64_t bytes = 0;
  for (int32_t t = 0; t < problem.num_terms; ++t) {
    const LartpcTerm& term = problem.terms[t];
    if (term.map && term.map->identity_slot < 0) continue;
    bytes += rows * term.x_stride * static_cast<int64_t>(sizeof(S));
  }
  if (bytes > LARGEST_STREAM) return;  // it would push out what is in use
  const auto add = [&](const void* base, int64_t row, int64_t count, int64_t stride, bool for_writing) {
    const int64_t row_bytes = stride * static_cast<int64_t>(sizeof(S));
    stream.add(static_cast<const char*>(base) + row * row_bytes, count * row_bytes, for_writing);
  };
  if (problem.residual) add(problem.residual, first, rows, problem.residual_stride, false);
  for (int32_t o = 0; o < problem.num_outputs; ++o) add(problem.outputs[o].y, first, rows, problem.outputs[o].y_stride, true);
  for (int32_t t = 0; t < problem.num_terms; ++t) {
    const LartpcTerm& term = problem.terms[t];
    if (term.map && term.map->identity_slot < 0) continue;
    add(term.x, first + rows, next_rows, term.x_stride, false);
  }
}

template <class S>
void convolve_block(const Convolution& problem, int64_t block_number, Workspace& workspace) {
  using T = typename Format<S>::Sum;
  const BlockCut cut(problem.num_out);
  const int64_t first = cut.first(block_number), rows = cut.size(block_number);
  const int64_t padded = round_up(problem.cout, std::is_same<S, BFloat16>::value ? PACKED_COLUMNS : Simd<T>::W);
  // Packed bfloat16 weights have columns up to the padding.
  const int64_t columns = std::is_same<S, BFloat16>::value ? padded : problem.cout;
  T* sums = workspace.get<T>(SUMS, rows * padded);
  const int32_t* order = nullptr;
  int64_t all_pairs = 0;
  for (int32_t t = 0; t < problem.num_terms; ++t) {
    const LartpcMap* map = problem.terms[t].map;
    if (map && map->out_order) order = map->out_order->data();
    all_pairs += map ? map->blocks[block_number].slot_start[map->slots] : rows;
  }

  // Rows of the block, for the slot in which every voxel meets itself.
  int32_t* own_rows = workspace.get<int32_t>(ROWS, 2 * MOST_BLOCK_ROWS);
  uint16_t* own_outputs = reinterpret_cast<uint16_t*>(own_rows + MOST_BLOCK_ROWS);
  for (int64_t i = 0; i < rows; ++i) {
    own_rows[i] = order ? order[first + i] : static_cast<int32_t>(first + i);
    own_outputs[i] = static_cast<uint16_t>(i);
  }

  const auto run = [&](const LartpcTerm& term, int64_t slot, int64_t count, const int32_t* in_rows,
                       const uint16_t* outputs, bool fresh, Stream& stream) {
    const int64_t weight_slot = term.map && term.reversed ? term.map->slots - 1 - slot : slot;
    const PairList<S> list{in_rows, outputs, count, static_cast<const S*>(term.x), term.x_stride, sums, padded};
    if (fresh) return run_slot<S, true>(term, weight_slot, columns, list, stream, workspace);
    run_slot<S, false>(term, weight_slot, columns, list, stream, workspace);
  };

  Stream stream;
  if (!order) plan_stream<S>(problem, first, rows, stream);
  const int64_t panels = (padded + MAX_VECTORS * Simd<T>::W - 1) / (MAX_VECTORS * Simd<T>::W);
  stream.spread_over(all_pairs / MAX_PAIRS * panels);

  bool fresh = true;  // nothing has been summed yet
  for (int32_t t = 0; t < problem.num_terms; ++t) {
    const LartpcTerm& term = problem.terms[t];
    if (term.cin == 0) continue;
    // This slot comes first: it writes all sums, so that they need no clearing.
    const int64_t identity = term.map ? term.map->identity_slot : 0;
    if (identity >= 0) {
      run(term, identity, rows, own_rows, own_outputs, fresh, stream);
      fresh = false;
    }
    if (!term.map) continue;
    const bool writes_all = fresh && term.map->once;  // every sum exactly once
    if (fresh && !writes_all) std::memset(sums, 0, static_cast<size_t>(rows * padded) * sizeof(T));
    fresh = false;
    const Block& block = term.map->blocks[block_number];
    for (int32_t slot = 0; slot < term.map->slots; ++slot) {
      const int32_t begin = block.slot_start[slot], count = block.slot_start[slot + 1] - begin;
      if (slot == identity || count == 0) continue;
      run(term, slot, count, block.in_rows.get() + begin, block.outputs.get() + begin, writes_all, stream);
    }
  }
  if (fresh) std::memset(sums, 0, static_cast<size_t>(rows * padded) * sizeof(T));
  write_block<S>(problem, order, first, rows, padded, sums, workspace);
}

// ---- gradient of the weight ----------------------------------------------------------------------------------------

constexpr int64_t AHEAD = 24;         // pairs that are fetched ahead
constexpr int64_t PAIRS_A_PASS = 192;  // enough to pay for reading and writing the sums, few enough for the second-level cache

// sum[m][n] += sum over pairs of x[pair][m] * grad[pair][n].
template <class T, int M, int N, bool FETCH>
struct OuterTile {
  using V = typename Simd<T>::V;
  static constexpr int W = Simd<T>::W;

  template <size_t... I, size_t... J, size_t... R>
  static LARTPC_INLINE void run(int64_t pairs, const T* const* x, int64_t channel, const T* const* grad, int64_t column,
                                T* sums, int64_t sum_row, bool fresh, std::index_sequence<I...>,
                                std::index_sequence<J...>, std::index_sequence<R...>) {
    V sum[M * N];
    ((sum[I] = V{}), ...);
    LARTPC_NOT_EMPTY(pairs);
    for (int64_t pair = 0; pair < pairs; ++pair) {
      const T* row = x[pair] + channel;
      const T* other = grad[pair] + column;
      // The lists have AHEAD entries to spare.
      __builtin_prefetch(x[pair + AHEAD] + channel);
      if constexpr (FETCH) (__builtin_prefetch(grad[pair + AHEAD] + column + J * W), ...);
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
    if (!fresh) ((sum[I] += load<V>(sums + static_cast<int64_t>(I / N) * sum_row + (I % N) * W)), ...);
    (store<V>(sums + static_cast<int64_t>(I / N) * sum_row + (I % N) * W, sum[I]), ...);
  }

  static LARTPC_INLINE void run(int64_t pairs, const T* const* x, int64_t channel, const T* const* grad, int64_t column, T* sums,
                  int64_t sum_row, bool fresh) {
    run(pairs, x, channel, grad, column, sums, sum_row, fresh, std::make_index_sequence<M * N>{},
        std::make_index_sequence<N>{}, std::make_index_sequence<M>{});
  }
};

template <class T, int N, int M>
void rest_of_channels(int64_t count, int64_t pairs, const T* const* x, int64_t channel, const T* const* grad,
                      int64_t column, T* sums, int64_t sum_row, bool fresh) {
  if constexpr (M > 0) {
    if (count == M) {
      OuterTile<T, M, N, true>::run(pairs, x, channel, grad, column, sums, sum_row, fresh);
    } else {
      rest_of_channels<T, N, M - 1>(count, pairs, x, channel, grad, column, sums, sum_row, fresh);
    }
  }
}

template <class T, int N>
void outer_panel(int64_t pairs, const T* const* x, int64_t begin, int64_t end, const T* const* grad, int64_t column,
                 T* sums, int64_t sum_row, bool fresh) {
  constexpr int M = tile_pairs(N);
  int64_t channel = begin;
  if (channel + M <= end) {  // the first tile brings the gradients into the cache
    OuterTile<T, M, N, true>::run(pairs, x, channel, grad, column, sums + channel * sum_row + column, sum_row, fresh);
    channel += M;
  }
  for (; channel + M <= end; channel += M) {
    OuterTile<T, M, N, false>::run(pairs, x, channel, grad, column, sums + channel * sum_row + column, sum_row, fresh);
  }
  rest_of_channels<T, N, M - 1>(end - channel, pairs, x, channel, grad, column, sums + channel * sum_row + column,
                                sum_row, fresh);
}

template <class T>
void outer_panel(int vectors, int64_t pairs, const T* const* x, int64_t begin, int64_t end, const T* const* grad,
                 int64_t column, T* sums, int64_t sum_row, bool fresh) {
  if constexpr (MAX_VECTORS == 4) {
    if (vectors == 4) return outer_panel<T, 4>(pairs, x, begin, end, grad, column, sums, sum_row, fresh);
    if (vectors == 3) return outer_panel<T, 3>(pairs, x, begin, end, grad, column, sums, sum_row, fresh);
  }
  if (vectors == 2) return outer_panel<T, 2>(pairs, x, begin, end, grad, column, sums, sum_row, fresh);
  outer_panel<T, 1>(pairs, x, begin, end, grad, column, sums, sum_row, fresh);
}

// The rows of a list of numbers; a loop that becomes vector instructions.
template <class T>
void resolve_rows(const T* base, int64_t stride, const int32_t* numbers, int64_t count, const T** rows) {
  for (int64_t n = 0; n < count; ++n) rows[n] = base + numbers[n] * stride;
}

template <class T>
void weight_gradient(const WeightGradient& problem, int64_t first_block, int64_t last_block, int64_t row_begin,
                     int64_t row_end, void* sum, Workspace& workspace) {
  constexpr int W = Simd<T>::W;
  const LartpcMap* map = problem.map;
  const BlockCut cut(problem.rows);
  const int64_t cout = problem.cout, padded = round_up(cout, W), vectors = padded / W;
  const int32_t slots = map ? map->slots : 1;
  const T** x = workspace.get<const T*>(INPUTS, MOST_BLOCK_ROWS + AHEAD);
  const T** grad = workspace.get<const T*>(OUTPUTS, 2 * MOST_BLOCK_ROWS + AHEAD);
  const T** grad_of_output = grad + MOST_BLOCK_ROWS + AHEAD;
  uint8_t* fresh = workspace.get<uint8_t>(FACTORS, slots);  // nothing has been summed yet
  std::memset(fresh, 1, static_cast<size_t>(slots));
  for (int64_t b = first_block; b < last_block; ++b) {
    const int64_t first = cut.first(b), rows = cut.size(b);
    const T* gradients = static_cast<const T*>(problem.grad);
    const T* inputs = static_cast<const T*>(problem.x);
    const auto out_row = [&](int64_t output) { return map ? map->out_row(first + output) : first + output; };
    T* copy = nullptr;
    if (padded != cout) copy = workspace.get<T>(SUMS, rows * padded);  // a vector must not read beyond a row
    for (int64_t i = 0; i < rows; ++i) {
      grad_of_output[i] = gradients + out_row(i) * problem.grad_stride;
      if (!copy) continue;
      copy_panel(grad_of_output[i], 0, 1, cout, padded, copy + i * padded);
      grad_of_output[i] = copy + i * padded;
    }
    const Block* block = map ? &map->blocks[b] : nullptr;
    for (int32_t slot = 0; slot < slots; ++slot) {
      const int32_t begin = block ? block->slot_start[slot] : 0;
      const int32_t pairs = block ? block->slot_start[slot + 1] - begin : static_cast<int32_t>(rows);
      if (pairs == 0) continue;
      if (block) {
        resolve_rows(inputs, problem.x_stride, block->in_rows.get() + begin, pairs, x);
        const uint16_t* outputs = block->outputs.get() + begin;
        for (int32_t pair = 0; pair < pairs; ++pair) grad[pair] = grad_of_output[outputs[pair]];
      } else {
        for (int32_t pair = 0; pair < pairs; ++pair) {
          x[pair] = inputs + (first + pair) * problem.x_stride;
          grad[pair] = grad_of_output[pair];
        }
      }
      for (int64_t spare = 0; spare < AHEAD; ++spare) {
        x[pairs + spare] = x[pairs - 1];
        grad[pairs + spare] = grad[pairs - 1];
      }
      T* sums = static_cast<T*>(sum) + slot * problem.cin * padded;
      for (int64_t pass = 0; pass < pairs; pass += PAIRS_A_PASS) {
        const int64_t count = pairs - pass < PAIRS_A_PASS ? pairs - pass : PAIRS_A_PASS;
        for (int64_t vector = 0; vector < vectors;) {
          const int panel = next_panel(vectors - vector);
          outer_panel<T>(panel, count, x + pass, row_begin, row_end, grad + pass, vector * W, sums, padded, fresh[slot]);
          vector += panel;
        }
        fresh[slot] = 0;
      }
    }
  }
  for (int32_t slot = 0; slot < slots; ++slot) {
    if (!fresh[slot]) continue;
    T* sums = static_cast<T*>(sum) + (slot * problem.cin + row_begin) * padded;
    std::memset(sums, 0, static_cast<size_t>((row_end - row_begin) * padded) * sizeof(T));
  }
}

// ---- the same for bfloat16 -----------------------------------------------------------------------------------------
//
// A multiply-add takes two pairs, so both sides are laid out first with two pairs in a word: an odd last one has a 0
// beside it.

constexpr int64_t WORDS_A_PASS = 96;  // of two pairs
constexpr int64_t WORDS_AHEAD = 16;   // pairs that are fetched ahead

// Words of a line of `n`, with an odd number of cache lines: a power of two would fill few sets of the cache.
constexpr int64_t spread_line(int64_t n) { return (((n + 15) / 16) | 1) * 16; }

// out[c] = channel c of both rows, `n` of them; `odd` may be null, for zeros.
LARTPC_INLINE void join_rows(const BFloat16* even, const BFloat16* odd, int64_t n, uint32_t* out) {
#if defined(__AVX512BW__) && defined(__AVX512VL__)
  for (int64_t c = 0; c < n; c += 16) {
    const __mmask16 some = n - c < 16 ? static_cast<__mmask16>((1u << (n - c)) - 1) : static_cast<__mmask16>(0xffff);
    __m512i words = _mm512_cvtepu16_epi32(_mm256_maskz_loadu_epi16(some, even + c));
    if (odd) {
      const __m512i high = _mm512_cvtepu16_epi32(_mm256_maskz_loadu_epi16(some, odd + c));
      words = _mm512_or_si512(words, _mm512_slli_epi32(high, 16));
    }
    _mm512_mask_storeu_epi32(out + c, some, words);
  }
#else
  constexpr int W = LARTPC_BYTES / 4;
  int64_t c = 0;
  for (; c + W <= n; c += W) {
    const Halves low = load<Halves>(even + c), high = odd ? load<Halves>(odd + c) : Halves{};
    store(out + c, __builtin_convertvector(low, Singles) | (__builtin_convertvector(high, Singles) << 16));
  }
  for (; c < n; ++c) out[c] = even[c].bits | (odd ? uint32_t{odd[c].bits} << 16 : 0u);
#endif
}

LARTPC_INLINE void fetch(const BFloat16* row, int64_t n) {
  for (int64_t c = 0; c < n; c += 32) __builtin_prefetch(row + c);
}

template <int M, int N>
struct OuterTile16 {
  using V = Simd<float>::V;
  static constexpr int W = Simd<float>::W;

  template <size_t... I, size_t... J, size_t... R>
  static LARTPC_INLINE void run(int64_t words, const uint32_t* x, int64_t x_row, const uint32_t* grad, int64_t grad_row,
                                float* sums, int64_t sum_row, std::index_sequence<I...>, std::index_sequence<J...>,
                                std::index_sequence<R...>) {
    V sum[M * N];
    ((sum[I] = load<V>(sums + static_cast<int64_t>(I / N) * sum_row + (I % N) * W)), ...);
    LARTPC_NOT_EMPTY(words);
    for (int64_t word = 0; word < words; ++word, x += x_row, grad += grad_row) {
      Words value[N];
      ((value[J] = load<Words>(grad + J * W)), ...);
      (
          [&] {
            constexpr size_t m = R;
            const Words factor = broadcast_word(x[m]);
            ((sum[m * N + J] = dot_pairs(sum[m * N + J], factor, value[J])), ...);
          }(),
          ...);
    }
    (store<V>(sums + static_cast<int64_t>(I / N) * sum_row + (I % N) * W, sum[I]), ...);
  }

  static void run(int64_t words, const uint32_t* x, int64_t x_row, const uint32_t* grad, int64_t grad_row, float* sums,
                  int64_t sum_row) {
    run(words, x, x_row, grad, grad_row, sums, sum_row, std::make_index_sequence<M * N>{},
        std::make_index_sequence<N>{}, std::make_index_sequence<M>{});
  }
};

template <int N, int M>
void outer_panel_16(int64_t count, int64_t words, const uint32_t* x, int64_t x_row, const uint32_t* grad,
                    int64_t grad_row, float* sums, int64_t sum_row) {
  if constexpr (M > 0) {
    for (; count >= M; count -= M, x += M, sums += M * sum_row) {
      OuterTile16<M, N>::run(words, x, x_row, grad, grad_row, sums, sum_row);
    }
    outer_panel_16<N, M - 1>(count, words, x, x_row, grad, grad_row, sums, sum_row);
  }
}

inline void weight_gradient_bfloat16(const WeightGradient& problem, int64_t first_block, int64_t last_block,
                                     int64_t row_begin, int64_t row_end, void* sum, Workspace& workspace) {
  constexpr int W = Simd<float>::W;
  const LartpcMap* map = problem.map;
  const BlockCut cut(problem.rows);
  const int64_t cout = problem.cout, padded = round_up(cout, W), vectors = padded / W, channels = row_end - row_begin;
  const int64_t x_row = spread_line(channels), grad_row = spread_line(padded);
  uint32_t* x = workspace.get<uint32_t>(INPUTS, WORDS_A_PASS * x_row);
  uint32_t* grad = workspace.get<uint32_t>(OUTPUTS, WORDS_A_PASS * grad_row);
  std::memset(grad, 0, static_cast<size_t>(WORDS_A_PASS * grad_row) * sizeof(uint32_t));  // beyond cout it stays so
  for (int32_t slot = 0; slot < (map ? map->slots : 1); ++slot) {
    float* sums = static_cast<float*>(sum) + (slot * problem.cin + row_begin) * padded;
    std::memset(sums, 0, static_cast<size_t>(channels * padded) * sizeof(float));
  }
  for (int64_t b = first_block; b < last_block; ++b) {
    const int64_t first = cut.first(b), rows = cut.size(b);
    const Block* block = map ? &map->blocks[b] : nullptr;
    for (int32_t slot = 0; slot < (map ? map->slots : 1); ++slot) {
      const int64_t begin = block ? block->slot_start[slot] : 0;
      const int64_t pairs = block ? block->slot_start[slot + 1] - begin : rows;
      const auto input = [&](int64_t pair) __attribute__((always_inline)) {
        const int64_t row = block ? block->in_rows[begin + pair] : first + pair;
        return static_cast<const BFloat16*>(problem.x) + row * problem.x_stride + row_begin;
      };
      const auto gradient = [&](int64_t pair) __attribute__((always_inline)) {
        const int64_t output = first + (block ? block->outputs[begin + pair] : pair);
        return static_cast<const BFloat16*>(problem.grad) + (map ? map->out_row(output) : output) * problem.grad_stride;
      };
      float* sums = static_cast<float*>(sum) + (slot * problem.cin + row_begin) * padded;
      for (int64_t pass = 0; pass < pairs; pass += 2 * WORDS_A_PASS) {
        const int64_t end = pairs - pass < 2 * WORDS_A_PASS ? pairs : pass + 2 * WORDS_A_PASS;
        const int64_t words = (end - pass + 1) / 2;
        for (int64_t word = 0; word < words; ++word) {
          const int64_t even = pass + 2 * word, odd = even + 1;
          for (int64_t coming = even + WORDS_AHEAD; coming < even + WORDS_AHEAD + 2 && coming < pairs; ++coming) {
            fetch(input(coming), channels);  // the rows lie anywhere
            fetch(gradient(coming), cout);
          }
          join_rows(input(even), odd < end ? input(odd) : nullptr, channels, x + word * x_row);
          join_rows(gradient(even), odd < end ? gradient(odd) : nullptr, cout, grad + word * grad_row);
        }
        for (int64_t vector = 0; vector < vectors;) {
          const int panel = next_panel(vectors - vector);
          const uint32_t* from = grad + vector * W;
          float* to = sums + vector * W;
          if constexpr (MAX_VECTORS == 4) {
            if (panel == 4) outer_panel_16<4, tile_pairs(4)>(channels, words, x, x_row, from, grad_row, to, padded);
            if (panel == 3) outer_panel_16<3, tile_pairs(3)>(channels, words, x, x_row, from, grad_row, to, padded);
          }
          if (panel == 2) outer_panel_16<2, tile_pairs(2)>(channels, words, x, x_row, from, grad_row, to, padded);
          if (panel == 1) outer_panel_16<1, tile_pairs(1)>(channels, words, x, x_row, from, grad_row, to, padded);
          vector += panel;
        }
      }
    }
  }
}

// ---- normalisation -------------------------------------------------------------------------------------------------

#include "norm_impl.h"

// ---- edges ---------------------------------------------------------------------------------------------------------

#include "edges_impl.h"

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
        {space::weight_gradient<float>, space::weight_gradient<double>, space::weight_gradient_bfloat16},          \
        {space::Simd<float>::W, space::Simd<double>::W}, space::fma_burst,                                         \
        {{space::norm_moments<float>, space::norm_apply<float>, space::norm_gradient_sums<float>,                  \
          space::norm_input_gradient<float>},                                                                      \
         {space::norm_moments<double>, space::norm_apply<double>, space::norm_gradient_sums<double>,               \
          space::norm_input_gradient<double>},                                                                     \
         {space::norm_moments<space::BFloat16>, space::norm_apply<space::BFloat16>,                                 \
          space::norm_gradient_sums<space::BFloat16>, space::norm_input_gradient<space::BFloat16>}},               \
        space::score_edges                                                                                         \
  }

}  // namespace lartpc
