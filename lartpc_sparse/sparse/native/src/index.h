// The voxels of one level of a batch as sorted keys: event | x | y | z, fields as in sparse/coordinates.py.
#pragma once

#include <cstdint>
#include <memory>
#include <vector>

namespace lartpc {

constexpr int MAX_DIM = 4;

struct KeyLayout {
  int dim;
  int bits;  // of one axis

  explicit KeyLayout(int dim);
  int64_t bias() const { return int64_t{1} << (bits - 1); }
  int64_t key(int64_t event, const int32_t* coord) const {
    for (int axis = 0; axis < dim; ++axis) event = (event << bits) + (coord[axis] + bias());
    return event;
  }
  void unpack(int64_t key, int32_t* coord) const {
    for (int axis = dim - 1; axis >= 0; --axis) {
      coord[axis] = static_cast<int32_t>((key & ((int64_t{1} << bits) - 1)) - bias());
      key >>= bits;
    }
  }
  int64_t event(int64_t key) const { return key >> (bits * dim); }
  // What to add to a key to move its voxel.
  int64_t shift(const int32_t* offset) const {
    int64_t sum = 0;
    for (int axis = 0; axis < dim; ++axis) sum = sum * (int64_t{1} << bits) + offset[axis];
    return sum;
  }
};

// Row of the n-th smallest key; null when the rows are in rising order already.
using RowOrder = std::shared_ptr<const std::vector<int32_t>>;

}  // namespace lartpc

struct LartpcIndex {
  lartpc::KeyLayout layout;
  int64_t events;
  std::vector<int64_t> keys;  // rising, then one sentinel above all
  lartpc::RowOrder row_of_rank;

  int64_t size() const { return static_cast<int64_t>(keys.size()) - 1; }
};

namespace lartpc {

std::unique_ptr<LartpcIndex> create_index(const int32_t* coords, const int64_t* offsets, int64_t n, int dim,
                                          int64_t events);
std::unique_ptr<LartpcIndex> coarsen(const LartpcIndex& fine, const int32_t* step);
int64_t duplicates(const LartpcIndex& index, int64_t* first_row);
void export_index(const LartpcIndex& index, int32_t* coords, int64_t* offsets);

}  // namespace lartpc
