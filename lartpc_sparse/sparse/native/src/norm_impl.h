// Batch normalisation with an activation, for training: statistics, values and gradients of a piece of the rows.
// Included by kernels_impl.h, once for each instruction set, into its namespace.
//
// Factors have room up to a whole vector; rows of features need not. Everything is bound by memory, so a piece is
// small enough that its second pass finds it in the second-level cache.

// Rows of S, computed with in the format of its sums: float32 for bfloat16.
template <class S>
using Sum = typename Format<S>::Sum;
template <class S>
using SumVector = typename Simd<Sum<S>>::V;

LARTPC_INLINE SumVector<float> widen(Halves halves) {
  const Singles bits = __builtin_convertvector(halves, Singles) << 16;
  SumVector<float> result;
  std::memcpy(&result, &bits, sizeof result);
  return result;
}

// As `to_bfloat16`, a whole vector.
LARTPC_INLINE Halves narrow(SumVector<float> value) {
  Singles bits;
  std::memcpy(&bits, &value, sizeof bits);
  const Singles rounded = (bits + 0x7fffu + ((bits >> 16) & 1u)) >> 16, quiet = (bits >> 16) | 0x40u;
  return __builtin_convertvector((bits & 0x7fffffffu) > 0x7f800000u ? quiet : rounded, Halves);
}

// A vector of a row of `n` channels at channel c; what lies beyond the row is 0.
template <class S>
LARTPC_INLINE SumVector<S> load_channels(const S* row, int64_t c, int64_t n) {
  constexpr int W = Simd<Sum<S>>::W;
  using Stored = std::conditional_t<std::is_same<S, BFloat16>::value, Halves, SumVector<S>>;
  Stored stored{};
  if (c + W <= n) {
    stored = load<Stored>(row + c);
  } else {
    std::memcpy(&stored, row + c, static_cast<size_t>(n - c) * sizeof(S));
  }
  if constexpr (std::is_same<S, BFloat16>::value) {
    return widen(stored);
  } else {
    return stored;
  }
}

template <class S>
LARTPC_INLINE void store_channels(S* row, int64_t c, int64_t n, SumVector<S> value) {
  constexpr int W = Simd<Sum<S>>::W;
  const auto put = [&](auto stored) {
    if (c + W <= n) {
      store(row + c, stored);
    } else {
      std::memcpy(row + c, &stored, static_cast<size_t>(n - c) * sizeof(S));
    }
  };
  if constexpr (std::is_same<S, BFloat16>::value) {
    put(narrow(value));
  } else {
    put(value);
  }
}

// Calls body(first channel, number of vectors as a constant) for groups of up to four vectors: rows are read in pieces
// that are long enough for the processor to fetch ahead, and sums stay in registers.
template <class T, class Body>
LARTPC_INLINE void for_panels(int64_t channels, const Body& body) {
  constexpr int W = Simd<T>::W;
  int64_t c = 0;
  for (; c + 3 * W < channels; c += 4 * W) body(c, std::integral_constant<int, 4>{});
  if (c + W < channels) {
    body(c, std::integral_constant<int, 2>{});
    c += 2 * W;
  }
  for (; c < channels; c += W) body(c, std::integral_constant<int, 1>{});
}

// mean[c] and sum of squared deviations m2[c] of the rows, by two passes.
template <class S>
void norm_moments(const NormRows& rows, void* mean_out, void* m2_out) {
  using T = Sum<S>;
  using V = typename Simd<T>::V;
  constexpr int W = Simd<T>::W;
  const S* x = static_cast<const S*>(rows.x);
  const T count = static_cast<T>(rows.count);
  for_panels<T>(rows.channels, [&](int64_t c, auto vectors) {
    constexpr int N = decltype(vectors)::value;
    V sum[N] = {}, square[N] = {}, mean[N];
    for (int64_t r = 0; r < rows.count; ++r) {
#pragma GCC unroll 4
      for (int j = 0; j < N; ++j) sum[j] += load_channels(x + r * rows.x_stride, c + j * W, rows.channels);
    }
#pragma GCC unroll 4
    for (int j = 0; j < N; ++j) mean[j] = sum[j] / count;
    for (int64_t r = 0; r < rows.count; ++r) {
#pragma GCC unroll 4
      for (int j = 0; j < N; ++j) {
        const V deviation = load_channels(x + r * rows.x_stride, c + j * W, rows.channels) - mean[j];
        square[j] += deviation * deviation;
      }
    }
#pragma GCC unroll 4
    for (int j = 0; j < N; ++j) {
      store(static_cast<T*>(mean_out) + c + j * W, mean[j]);
      store(static_cast<T*>(m2_out) + c + j * W, square[j]);
    }
  });
}

// The slope where scale * x + shift is not above 0, else 1. A NaN counts as above 0, as in torch's ReLU.
template <class T>
LARTPC_INLINE typename Simd<T>::V through(typename Simd<T>::V value, typename Simd<T>::V pre, T slope) {
  const typename Simd<T>::V zero{};
  return pre <= zero ? value * slope : value;
}

// y = activation(scale * x + shift).
template <class S>
void norm_apply(const NormRows& rows, const NormFactors& factors, void* result) {
  using T = Sum<S>;
  using V = typename Simd<T>::V;
  constexpr int W = Simd<T>::W;
  const S* x = static_cast<const S*>(rows.x);
  const T* scale = static_cast<const T*>(factors.scale);
  const T* shift = static_cast<const T*>(factors.shift);
  S* y = static_cast<S*>(result);
  const T slope = static_cast<T>(factors.slope);
  const V zero{};
  for (int64_t r = 0; r < rows.count; ++r, x += rows.x_stride, y += rows.channels) {
    for (int64_t c = 0; c < rows.channels; c += W) {
      const V pre = load_channels(x, c, rows.channels) * load<V>(scale + c) + load<V>(shift + c);
      // ReLU by itself: 0 times an infinite value would be NaN.
      const V value = factors.slope == 0 ? (pre < zero ? zero : pre) : (pre < zero ? pre * slope : pre);
      store_channels(y, c, rows.channels, value);
    }
  }
}

// Sums over the rows of g and of g * (x - mean), with g the gradient that comes through the activation.
template <class S>
void norm_gradient_sums(const NormRows& rows, const NormFactors& factors, void* sum_out, void* product_out) {
  using T = Sum<S>;
  using V = typename Simd<T>::V;
  constexpr int W = Simd<T>::W;
  const S* x = static_cast<const S*>(rows.x);
  const S* grad = static_cast<const S*>(rows.grad);
  const T slope = static_cast<T>(factors.slope);
  for_panels<T>(rows.channels, [&](int64_t first, auto vectors) {
    constexpr int N = decltype(vectors)::value;
    V scale[N], shift[N], mean[N], sum[N] = {}, product[N] = {};
#pragma GCC unroll 4
    for (int j = 0; j < N; ++j) {
      scale[j] = load<V>(static_cast<const T*>(factors.scale) + first + j * W);
      shift[j] = load<V>(static_cast<const T*>(factors.shift) + first + j * W);
      mean[j] = load<V>(static_cast<const T*>(factors.mean) + first + j * W);
    }
    for (int64_t r = 0; r < rows.count; ++r) {
#pragma GCC unroll 4
      for (int j = 0; j < N; ++j) {
        const int64_t c = first + j * W;
        const V value = load_channels(x + r * rows.x_stride, c, rows.channels);
        const V arriving = load_channels(grad + r * rows.grad_stride, c, rows.channels);
        const V g = through<T>(arriving, value * scale[j] + shift[j], slope);
        sum[j] += g;
        product[j] += g * (value - mean[j]);
      }
    }
#pragma GCC unroll 4
    for (int j = 0; j < N; ++j) {
      store(static_cast<T*>(sum_out) + first + j * W, sum[j]);
      store(static_cast<T*>(product_out) + first + j * W, product[j]);
    }
  });
}

// dx = scale * g + by_x * (x - mean) + constant + added.
template <class S>
void norm_input_gradient(const NormRows& rows, const NormFactors& factors, void* result) {
  using T = Sum<S>;
  using V = typename Simd<T>::V;
  constexpr int W = Simd<T>::W;
  const S* x = static_cast<const S*>(rows.x);
  const S* grad = static_cast<const S*>(rows.grad);
  const T* scale = static_cast<const T*>(factors.scale);
  const T* shift = static_cast<const T*>(factors.shift);
  const T* mean = static_cast<const T*>(factors.mean);
  const T* by_x = static_cast<const T*>(factors.by_x);
  const T* constant = static_cast<const T*>(factors.constant);
  const S* added = static_cast<const S*>(rows.added);
  S* dx = static_cast<S*>(result);
  const T slope = static_cast<T>(factors.slope);
  for (int64_t r = 0; r < rows.count; ++r, x += rows.x_stride, grad += rows.grad_stride, dx += rows.channels) {
    for (int64_t c = 0; c < rows.channels; c += W) {
      const V value = load_channels(x, c, rows.channels), factor = load<V>(scale + c);
      const V g = through<T>(load_channels(grad, c, rows.channels), value * factor + load<V>(shift + c), slope);
      const V deviation = value - load<V>(mean + c);
      V sum = factor * g + load<V>(by_x + c) * deviation + load<V>(constant + c);
      if (added) sum += load_channels(added + r * rows.added_stride, c, rows.channels);
      store_channels(dx, c, rows.channels, sum);
    }
  }
}
