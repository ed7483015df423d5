#include "norm.h"

#include <algorithm>
#include <cstring>
#include <vector>

#include "pool.h"

namespace lartpc {
namespace {

// Rows of a piece: their sums in the format of the factors are exact enough, and they fit in the cache.
int64_t piece_rows(int64_t channels) { return std::max<int64_t>(32, (32 << 10) / std::max<int64_t>(channels, 1)); }

struct Pieces {
  int dtype;
  NormRows rows;
  int sums;  // format of factors and sums: that of the features, float32 for bfloat16
  int64_t size, sum_size, each, count, padded;

  Pieces(int dtype, const NormRows& rows)
      : dtype(dtype),
        rows(rows),
        sums(dtype == LARTPC_FLOAT64 ? LARTPC_FLOAT64 : LARTPC_FLOAT32),
        size(dtype == LARTPC_FLOAT64 ? 8 : dtype == LARTPC_BFLOAT16 ? 2 : 4),
        sum_size(sums == LARTPC_FLOAT64 ? 8 : 4),
        each(std::min(piece_rows(rows.channels), int64_t{256})),
        count((rows.count + each - 1) / each),
        padded(round_up(rows.channels, kernels().width[sums])) {}

  NormRows piece(int64_t number) const {
    NormRows part = rows;
    const int64_t first = number * each;
    part.x = static_cast<const char*>(rows.x) + first * rows.x_stride * size;
    if (rows.added) part.added = static_cast<const char*>(rows.added) + first * rows.added_stride * size;
    if (rows.grad) part.grad = static_cast<const char*>(rows.grad) + first * rows.grad_stride * size;
    part.count = std::min(each, rows.count - first);
    return part;
  }
  // Where the piece's results go in an array of (rows, channels).
  char* result(void* whole, int64_t number) const {
    return static_cast<char*>(whole) + number * each * rows.channels * size;
  }
};

// Factors in the format of the sums, padded with zeros; one row for each array.
class Factors {
 public:
  Factors(const Pieces& pieces, std::initializer_list<const double*> arrays)
      : row_(pieces.padded * pieces.sum_size), memory_(arrays.size() * row_) {
    char* to = memory_.data();
    for (const double* from : arrays) {
      for (int64_t c = 0; c < pieces.rows.channels; ++c) {
        if (pieces.sums == LARTPC_FLOAT64) {
          std::memcpy(to + c * 8, from + c, 8);
        } else {
          const float value = static_cast<float>(from[c]);
          std::memcpy(to + c * 4, &value, 4);
        }
      }
      to += row_;
    }
  }
  const void* operator[](int64_t array) const { return memory_.data() + array * row_; }

 private:
  size_t row_;
  std::vector<char> memory_;
};

// Two arrays of each piece, as `compute` fills them, read back as double.
class Partial {
 public:
  template <class Compute>
  Partial(const Pieces& pieces, int threads, const Compute& compute)
      : pieces_(pieces), row_(pieces.padded * pieces.sum_size), memory_(2 * pieces.count * row_) {
    parallel_for(pieces.count, threads, [&](int64_t number, int) {
      compute(number, memory_.data() + 2 * number * row_, memory_.data() + (2 * number + 1) * row_);
    });
  }
  double at(int64_t number, int array, int64_t channel) const {
    const char* from = memory_.data() + (2 * number + array) * row_ + channel * pieces_.sum_size;
    if (pieces_.sums == LARTPC_FLOAT64) {
      double value;
      std::memcpy(&value, from, 8);
      return value;
    }
    float value;
    std::memcpy(&value, from, 4);
    return static_cast<double>(value);
  }

 private:
  const Pieces& pieces_;
  size_t row_;
  std::vector<char> memory_;
};

}  // namespace

void norm_moments(int dtype, const NormRows& rows, double* mean, double* variance, int threads) {
  const Pieces pieces(dtype, rows);
  const auto& kernel = kernels().norm[dtype];
  const Partial partial(pieces, threads, [&](int64_t number, void* piece_mean, void* piece_m2) {
    kernel.moments(pieces.piece(number), piece_mean, piece_m2);
  });
  // Pieces are joined in their order, so that threads do not matter (Chan, Golub and LeVeque 1983).
  for (int64_t c = 0; c < rows.channels; ++c) {
    double joined_mean = 0, joined_m2 = 0, count = 0;
    for (int64_t number = 0; number < pieces.count; ++number) {
      const double more = static_cast<double>(pieces.piece(number).count);
      const double difference = partial.at(number, 0, c) - joined_mean;
      joined_m2 += partial.at(number, 1, c) + difference * difference * count * more / (count + more);
      count += more;
      joined_mean += difference * more / count;
    }
    mean[c] = joined_mean;
    variance[c] = count > 0 ? joined_m2 / count : 0;
  }
}

void norm_apply(int dtype, const NormRows& rows, const double* scale, const double* shift, double slope, void* y,
                int threads) {
  const Pieces pieces(dtype, rows);
  const Factors values(pieces, {scale, shift});
  const NormFactors factors{values[0], values[1], nullptr, nullptr, nullptr, slope};
  parallel_for(pieces.count, threads, [&](int64_t number, int) {
    kernels().norm[dtype].apply(pieces.piece(number), factors, pieces.result(y, number));
  });
}

void norm_gradient(int dtype, const NormRows& rows, const NormStatistics& statistics, void* dx, double* grad_weight,
                   double* grad_bias, int threads) {
  const Pieces pieces(dtype, rows);
  const auto& kernel = kernels().norm[dtype];
  const Factors known(pieces, {statistics.scale, statistics.shift, statistics.mean});
  NormFactors factors{known[0], known[1], known[2], nullptr, nullptr, statistics.slope};
  const Partial partial(pieces, threads, [&](int64_t number, void* sum, void* product) {
    kernel.gradient_sums(pieces.piece(number), factors, sum, product);
  });
  // dx = scale * (g - mean(g) - xhat * mean(g xhat)), xhat = (x - mean) rstd.
  std::vector<double> by_x(rows.channels), constant(rows.channels);
  const double count = static_cast<double>(rows.count);
  for (int64_t c = 0; c < rows.channels; ++c) {
    double sum = 0, product = 0;
    for (int64_t number = 0; number < pieces.count; ++number) {
      sum += partial.at(number, 0, c);
      product += partial.at(number, 1, c);
    }
    grad_bias[c] = sum;
    grad_weight[c] = product * statistics.rstd[c];
    by_x[c] = -statistics.scale[c] * statistics.rstd[c] * grad_weight[c] / count;
    constant[c] = -statistics.scale[c] * sum / count;
  }
  const Factors found(pieces, {by_x.data(), constant.data()});
  factors.by_x = found[0];
  factors.constant = found[1];
  parallel_for(pieces.count, threads, [&](int64_t number, int) {
    kernel.input_gradient(pieces.piece(number), factors, pieces.result(dx, number));
  });
}

}  // namespace lartpc
