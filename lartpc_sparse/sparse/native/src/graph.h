// Graphs of voxels: pairs of near voxels with one label, and agglomeration of a graph with scored edges.
#pragma once

#include <cstdint>
#include <vector>

namespace lartpc {

// Rows i < j or not, each unordered pair once, of voxels with equal labels >= 0 whose coordinates differ by at most
// `reach` along every axis. Throws when labels and coordinates do not fit into a key of 64 bits.
std::vector<int64_t> near_pairs(const int32_t* coords, const int64_t* label, int64_t n, int dim, int32_t reach);

// The same for pairs whose longest difference along an axis is one of `distances`, 1..63: bit d stands for distance d.
std::vector<int64_t> pairs_at(const int32_t* coords, const int64_t* label, int64_t n, int dim, uint64_t distances);

// Average linkage: every node is a cluster; the two linked clusters with the highest mean score of the edges between
// them are joined until that mean is below `threshold`. Edges of at least `certain` are joined before anything else.
// cluster[i]: 0 .. K-1 in the order of the first nodes; returns K.
int64_t agglomerate(const int64_t* pairs, const float* scores, int64_t num_pairs, int64_t num_nodes, double threshold,
                    double certain, int64_t* cluster);

}  // namespace lartpc
