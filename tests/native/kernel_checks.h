// One call of a kernel on random numbers, compared with brute force: every element within the roundings of its sum.
#pragma once

#include <vector>

#include "api.h"
#include "brute_force.h"

inline std::mt19937 random_source(7);

template <class T>
struct Format;
template <>
struct Format<float> {
  static constexpr int dtype = LARTPC_FLOAT32;
  static constexpr double rounding = 1.2e-7, result = 1.2e-7;
};
template <>
struct Format<double> {
  static constexpr int dtype = LARTPC_FLOAT64;
  static constexpr double rounding = 2.3e-16, result = 2.3e-16;
};
template <>
struct Format<uint16_t> {
  static constexpr int dtype = LARTPC_BFLOAT16;
  static constexpr double rounding = 1.2e-7, result = 1.0 / 256;
};

// A term: a map or none, as pairs for the brute force.
struct Summand {
  const LartpcMap* map;
  std::vector<Pair> pairs;
  int slots;
  int64_t num_in;
  int64_t cin;
  bool reversed;
};

// sum over terms + bias + residual against brute force, with an identity and a scaled leaky ReLU as results.
template <class T>
void check_convolution(const std::vector<Summand>& summands, int64_t num_out, int64_t cout, bool extras, int threads) {
  using F = Format<T>;
  const int64_t gap = extras ? 3 : 0;  // between rows
  std::vector<std::vector<T>> xs, ws;
  std::vector<std::vector<uint32_t>> packed;
  std::vector<LartpcTerm> terms;
  std::vector<double> sums(num_out * cout), sizes(num_out * cout);
  double products = 3;
  for (const Summand& s : summands) {
    const int64_t stride = s.cin + gap;
    xs.push_back(random_numbers<T>(random_source, s.num_in ? (s.num_in - 1) * stride + s.cin : 0));
    ws.push_back(random_numbers<T>(random_source, s.slots * s.cin * cout));
    const std::vector<T>&x = xs.back(), &w = ws.back();
    LartpcTerm term{x.data(), stride, s.cin, w.data(), s.cin * cout, cout, s.map, s.reversed};
    if (F::dtype == LARTPC_BFLOAT16) {
      packed.emplace_back(lartpc_packed_size(s.slots, s.cin, cout) / 2);
      CHECK(lartpc_pack_weight(w.data(), s.slots, s.cin, cout, packed.back().data(), threads) == 0);
      term.w = packed.back().data();
      term.w_slot = static_cast<int64_t>(packed.back().size()) / s.slots;
      term.w_row = s.cin ? term.w_slot / ((s.cin + 1) / 2) : 0;
    }
    terms.push_back(term);
    products += static_cast<double>(s.slots * s.cin);
    for (const Pair& pair : s.pairs) {
      const int64_t slot = s.reversed ? s.slots - 1 - pair.slot : pair.slot;
      for (int64_t c = 0; c < s.cin; ++c) {
        const double value = read(x[pair.in * stride + c]);
        for (int64_t j = 0; j < cout; ++j) {
          const double product = value * read(w[(slot * s.cin + c) * cout + j]);
          sums[pair.out * cout + j] += product;
          sizes[pair.out * cout + j] += std::abs(product);
        }
      }
    }
  }
  const auto bias = random_numbers<float>(random_source, cout), scale = random_numbers<float>(random_source, cout),
             shift = random_numbers<float>(random_source, cout);
  const int64_t stride = cout + gap, length = num_out ? (num_out - 1) * stride + cout : 0;
  const auto residual = random_numbers<T>(random_source, length);
  std::vector<T> raw(length), activated(length);
  const LartpcOutput outputs[] = {
      {raw.data(), stride, nullptr, nullptr, LARTPC_IDENTITY, 0},
      {activated.data(), stride, scale.data(), shift.data(), LARTPC_LEAKY_RELU, 0.25f},
  };
  CHECK(lartpc_convolve(F::dtype, terms.data(), static_cast<int32_t>(terms.size()), num_out, cout,
                        extras ? bias.data() : nullptr, extras ? residual.data() : nullptr, stride, outputs, 2,
                        threads) == 0);
  for (int64_t q = 0; q < num_out; ++q) {
    for (int64_t j = 0; j < cout; ++j) {
      double sum = sums[q * cout + j], size = sizes[q * cout + j];
      if (extras) {
        sum += bias[j] + read(residual[q * stride + j]);
        size += std::abs(bias[j]) + std::abs(read(residual[q * stride + j]));
      }
      const double error = products * F::rounding * size;
      CHECK(std::abs(read(raw[q * stride + j]) - sum) <= error + F::result * std::abs(sum));
      double result = scale[j] * sum + shift[j];
      result = result < 0 ? 0.25 * result : result;
      const double larger = std::abs(scale[j]) * (size + error) + std::abs(shift[j]);
      CHECK(std::abs(read(activated[q * stride + j]) - result) <=
            std::abs(scale[j]) * error + 4 * F::rounding * larger + F::result * std::abs(result));
    }
  }
}

template <class T>
void check_weight_gradient(const Summand& s, int64_t num_out, int64_t cout, int threads) {
  using F = Format<T>;
  const int64_t gap = threads % 2 ? 0 : 5;  // between rows: columns of a wider array
  const auto rows_of = [&](int64_t n, int64_t channels) {
    return random_numbers<T>(random_source, n ? (n - 1) * (channels + gap) + channels : 0);
  };
  const auto x = rows_of(s.num_in, s.cin), grad = rows_of(num_out, cout);
  using Sum = std::conditional_t<std::is_same_v<T, uint16_t>, float, T>;
  std::vector<Sum> result(s.slots * s.cin * cout, Sum{99});
  CHECK(lartpc_weight_gradient(F::dtype, x.data(), s.cin + gap, s.cin, grad.data(), cout + gap, cout, s.map,
                               num_out, result.data(), threads) == 0);
  std::vector<double> sums(result.size()), sizes(result.size());
  for (const Pair& pair : s.pairs) {
    for (int64_t c = 0; c < s.cin; ++c) {
      for (int64_t j = 0; j < cout; ++j) {
        const double product = read(x[pair.in * (s.cin + gap) + c]) * read(grad[pair.out * (cout + gap) + j]);
        sums[(pair.slot * s.cin + c) * cout + j] += product;
        sizes[(pair.slot * s.cin + c) * cout + j] += std::abs(product);
      }
    }
  }
  for (size_t i = 0; i < sums.size(); ++i) {
    CHECK(std::abs(read(result[i]) - sums[i]) <= static_cast<double>(num_out + 2) * F::rounding * sizes[i]);
  }
}

template <class T>
void check_transpose(int64_t slots, int64_t rows, int64_t columns, int threads) {
  const auto w = random_numbers<T>(random_source, slots * rows * columns);
  std::vector<T> out(w.size());
  CHECK(lartpc_transpose_weight(Format<T>::dtype, w.data(), slots, rows, columns, out.data(), threads) == 0);
  for (int64_t k = 0; k < slots; ++k) {
    for (int64_t r = 0; r < rows; ++r) {
      for (int64_t c = 0; c < columns; ++c) CHECK(out[(k * columns + c) * rows + r] == w[(k * rows + r) * columns + c]);
    }
  }
}
