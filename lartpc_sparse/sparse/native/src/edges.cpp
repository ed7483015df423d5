#include "edges.h"

#include <algorithm>
#include <cmath>
#include <cstdlib>
#include <cstring>
#include <stdexcept>
#include <vector>

namespace lartpc {
namespace {

// As many hidden numbers at a time as stay in registers: four vectors of the narrowest instruction set.
constexpr int LANES = 4, VECTORS = 4, BLOCK = LANES * VECTORS;
typedef float Vector __attribute__((vector_size(LANES * sizeof(float))));

Vector load(const float* from) {
  Vector v;
  std::memcpy(&v, from, sizeof v);
  return v;
}

// Hidden numbers of a block before the ReLU.
struct Block {
  Vector part[VECTORS];

  void add(const float* from) {
    for (int v = 0; v < VECTORS; ++v) part[v] += load(from + v * LANES);
  }

  void add(float factor, const float* from) {
    for (int v = 0; v < VECTORS; ++v) part[v] += factor * load(from + v * LANES);
  }

  float relu_dot(const float* weights) const {
    Vector total{};
    for (int v = 0; v < VECTORS; ++v) total += (part[v] > 0.0f ? part[v] : Vector{}) * load(weights + v * LANES);
    return (total[0] + total[1]) + (total[2] + total[3]);
  }
};

// Weights of each block one after the other, with zeros where the last block goes beyond the hidden numbers.
std::vector<float> in_blocks(const float* weights, int32_t rows, int32_t hidden) {
  const int32_t blocks = (hidden + BLOCK - 1) / BLOCK;
  std::vector<float> packed(static_cast<size_t>(blocks) * rows * BLOCK, 0.0f);
  for (int32_t row = 0; row < rows; ++row)
    for (int32_t h = 0; h < hidden; ++h)
      packed[(static_cast<size_t>(h / BLOCK) * rows + row) * BLOCK + h % BLOCK] = weights[row * hidden + h];
  return packed;
}

}  // namespace

void score_edges(const float* features, const float* sums, const int32_t* coords, int64_t n, const int64_t* pairs,
                 int64_t num_pairs, const EdgeNetwork& network, float* scores) {
  for (int64_t e = 0; e < 2 * num_pairs; ++e)
    if (pairs[e] < 0 || pairs[e] >= n) throw std::out_of_range("an edge names a voxel that does not exist");
  const int32_t width = network.width, dim = network.dim, hidden = network.hidden, inputs = width + dim;
  // Differences and way are one input, so that one loop does both.
  std::vector<float> both(static_cast<size_t>(inputs) * hidden);
  std::copy_n(network.difference, static_cast<size_t>(width) * hidden, both.begin());
  std::copy_n(network.way, static_cast<size_t>(dim) * hidden, both.begin() + static_cast<size_t>(width) * hidden);
  const std::vector<float> weights = in_blocks(both.data(), inputs, hidden);
  const std::vector<float> bias = in_blocks(network.bias, 1, hidden), out = in_blocks(network.out, 1, hidden);
  const int32_t padded = (hidden + BLOCK - 1) / BLOCK * BLOCK;
  std::vector<float> own_sums(static_cast<size_t>(n) * padded, 0.0f);
  for (int64_t i = 0; i < n; ++i) std::copy_n(sums + i * hidden, hidden, own_sums.begin() + i * padded);
  std::vector<float> input(inputs);
  for (int64_t e = 0; e < num_pairs; ++e) {
    const int64_t i = pairs[2 * e], j = pairs[2 * e + 1];
    for (int32_t f = 0; f < width; ++f) input[f] = std::fabs(features[i * width + f] - features[j * width + f]);
    for (int32_t axis = 0; axis < dim; ++axis)
      input[width + axis] = std::fabs(static_cast<float>(int64_t{coords[i * dim + axis]} - coords[j * dim + axis]));
    float logit = network.out_bias;
    for (int32_t first = 0; first < padded; first += BLOCK) {
      Block block{};
      block.add(bias.data() + first);
      block.add(own_sums.data() + i * padded + first);
      block.add(own_sums.data() + j * padded + first);
      const float* rows = weights.data() + static_cast<size_t>(first) * inputs;
      for (int32_t k = 0; k < inputs; ++k) block.add(input[k], rows + k * BLOCK);
      logit += block.relu_dot(out.data() + first);
    }
    scores[e] = 1.0f / (1.0f + std::exp(-logit));
  }
}

}  // namespace lartpc
