#include "edges.h"

#include <algorithm>
#include <stdexcept>
#include <vector>

#include "kernels.h"

namespace lartpc {
namespace {

// Rows of `hidden` numbers, each with zeros up to `padded`.
std::vector<float> padded_rows(const float* rows, int64_t count, int64_t hidden, int64_t padded) {
  std::vector<float> result(count * padded, 0.0f);
  for (int64_t row = 0; row < count; ++row) std::copy_n(rows + row * hidden, hidden, result.begin() + row * padded);
  return result;
}

}  // namespace

void score_edges(const float* features, const float* sums, const int32_t* coords, int64_t n, const int64_t* pairs,
                 int64_t num_pairs, const EdgeNetwork& network, float* scores) {
  for (int64_t e = 0; e < 2 * num_pairs; ++e)
    if (pairs[e] < 0 || pairs[e] >= n) throw std::out_of_range("an edge names a voxel that does not exist");
  const int64_t width = network.width, dim = network.dim, hidden = network.hidden;
  const int64_t padded = round_up(hidden, EDGE_COLUMNS);
  // Differences and way are one input, so that one loop does both.
  std::vector<float> weights = padded_rows(network.difference, width, hidden, padded);
  const std::vector<float> way = padded_rows(network.way, dim, hidden, padded);
  weights.insert(weights.end(), way.begin(), way.end());
  const std::vector<float> bias = padded_rows(network.bias, 1, hidden, padded);
  const std::vector<float> out = padded_rows(network.out, 1, hidden, padded);
  const std::vector<float> own = hidden == padded ? std::vector<float>() : padded_rows(sums, n, hidden, padded);
  std::vector<float> input(width + dim);
  const EdgeProblem problem{features,       own.empty() ? sums : own.data(), coords, pairs, num_pairs, weights.data(),
                            bias.data(),    out.data(),                      network.out_bias,
                            width,          dim,                             padded};
  kernels().score_edges(problem, input.data(), scores);
}

}  // namespace lartpc
