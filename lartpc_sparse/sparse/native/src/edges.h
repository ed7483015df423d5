// Scores of the edges of a voxel graph by a small network.
#pragma once

#include <cstdint>

namespace lartpc {

// The network of an edge between i and j:
//   hidden = relu(sums_i + sums_j + bias + difference^T |features_i - features_j| + way^T |coords_i - coords_j|),
//   score = sigmoid(out . hidden + out_bias).
struct EdgeNetwork {
  const float* difference;  // (width, hidden)
  const float* way;         // (dim, hidden)
  const float* bias;        // (hidden)
  const float* out;         // (hidden)
  float out_bias;
  int32_t width;
  int32_t dim;
  int32_t hidden;
};

// features (n, width), sums (n, hidden), coords (n, dim); pairs: rows of the two ends. Throws on a row that is none.
void score_edges(const float* features, const float* sums, const int32_t* coords, int64_t n, const int64_t* pairs,
                 int64_t num_pairs, const EdgeNetwork& network, float* scores);

}  // namespace lartpc
