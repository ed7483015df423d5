#include "neighbours.h"

#include <algorithm>
#include <array>
#include <cmath>
#include <stdexcept>
#include <utility>
#include <vector>

namespace lartpc {
namespace {

constexpr int MAX_AXES = 4;
constexpr int64_t NONE = -1;   // no labelled voxel
constexpr int64_t MIXED = -2;  // several classes

using Cell = std::array<int64_t, MAX_AXES>;

// Labelled voxels sorted by cells whose edge is the distance, so that all neighbours lie in the 3^D cells around.
class Cells {
 public:
  Cells(const int32_t* coords, const int64_t* label, int64_t n, int dim, double distance) : dim_(dim) {
    edge_ = std::max<int64_t>(1, static_cast<int64_t>(std::ceil(distance)));
    std::vector<std::pair<uint64_t, int64_t>> order;
    order.reserve(n);
    set_origin(coords, label, n);
    for (int64_t i = 0; i < n; ++i)
      if (label[i] >= 0) order.emplace_back(key(cell_of(coords + i * dim)), i);
    std::sort(order.begin(), order.end());
    rows_.reserve(order.size());
    for (const auto& [cell_key, row] : order) {
      if (keys_.empty() || keys_.back() != cell_key) {
        keys_.push_back(cell_key);
        starts_.push_back(static_cast<int64_t>(rows_.size()));
        label_.push_back(label[row]);
      } else if (label_.back() != label[row]) {
        label_.back() = MIXED;
      }
      rows_.push_back(row);
    }
    starts_.push_back(static_cast<int64_t>(rows_.size()));
    set_rows();
  }

  int64_t count() const { return static_cast<int64_t>(keys_.size()); }
  int64_t label(int64_t cell) const { return label_[cell]; }
  const int64_t* begin(int64_t cell) const { return rows_.data() + starts_[cell]; }
  const int64_t* end(int64_t cell) const { return rows_.data() + starts_[cell + 1]; }

  // The occupied cells around a cell and the cell itself; their number. To be asked for all cells in rising order:
  // three cells in a row along the first axis are neighbours in the order of the keys, so that one cursor for each row
  // of three moves through the cells once.
  int around(int64_t cell, int64_t* found) {
    int number = 0;
    for (Row& row : three_rows_) {
      const uint64_t middle = keys_[cell] + row.offset;
      while (row.cursor < count() && keys_[row.cursor] + 1 < middle) ++row.cursor;
      for (int64_t other = row.cursor; other < count() && keys_[other] <= middle + 1; ++other) found[number++] = other;
    }
    return number;
  }

 private:
  void set_origin(const int32_t* coords, const int64_t* label, int64_t n) {
    Cell low{}, high{};
    bool any = false;
    for (int64_t i = 0; i < n; ++i) {
      if (label[i] < 0) continue;
      for (int axis = 0; axis < dim_; ++axis) {
        const int64_t c = coords[i * dim_ + axis];
        low[axis] = any ? std::min(low[axis], c) : c;
        high[axis] = any ? std::max(high[axis], c) : c;
      }
      any = true;
    }
    bits_ = 64 / dim_;
    for (int axis = 0; axis < dim_; ++axis) {
      const int64_t cells = (high[axis] - low[axis]) / edge_ + 3;
      if (bits_ < 63 && cells >= int64_t{1} << bits_) throw std::length_error("voxels too far apart for their cells");
    }
    origin_ = low;
  }

  Cell cell_of(const int32_t* coord) const {
    Cell cell{};
    for (int axis = 0; axis < dim_; ++axis) cell[axis] = (coord[axis] - origin_[axis]) / edge_ + 1;
    return cell;
  }

  uint64_t key(const Cell& cell) const {
    uint64_t key = 0;
    for (int axis = 0; axis < dim_; ++axis) key |= static_cast<uint64_t>(cell[axis]) << (axis * bits_);
    return key;
  }

  // Rows of three cells along the first axis around a cell: its keys differ from the middle ones by `offset`.
  struct Row {
    uint64_t offset;
    int64_t cursor;
  };

  void set_rows() {
    int total = 1;
    for (int axis = 1; axis < dim_; ++axis) total *= 3;
    for (int step = 0; step < total; ++step) {
      uint64_t offset = 0;
      for (int axis = 1, rest = step; axis < dim_; ++axis, rest /= 3)
        offset += static_cast<uint64_t>(rest % 3 - 1) << (axis * bits_);  // cells begin at 1: no borrow
      three_rows_.push_back({offset, 0});
    }
  }

  int dim_;
  int bits_ = 0;
  int64_t edge_ = 1;
  Cell origin_{};
  std::vector<uint64_t> keys_;
  std::vector<int64_t> starts_, rows_, label_;
  std::vector<Row> three_rows_;
};

bool within(const int32_t* a, const int32_t* b, int dim, double limit, bool box) {
  double sum = 0;
  for (int axis = 0; axis < dim; ++axis) {
    const double step = std::abs(static_cast<double>(a[axis]) - b[axis]);
    sum = box ? std::max(sum, step) : sum + step * step;
  }
  return sum <= limit;
}

// The class that all these cells have in common, or MIXED.
int64_t common_label(const Cells& cells, const int64_t* found, int number) {
  int64_t common = NONE;
  for (int k = 0; k < number; ++k) {
    const int64_t label = cells.label(found[k]);
    if (label == MIXED || (common != NONE && common != label)) return MIXED;
    common = label;
  }
  return common;
}

}  // namespace

void near_other_class(const int32_t* coords, const int64_t* label, int64_t n, int dim, double distance, bool box,
                      uint8_t* near) {
  std::fill(near, near + n, uint8_t{0});
  Cells cells(coords, label, n, dim, distance);
  const double reach = distance + 1e-6;
  const double limit = box ? reach : reach * reach;
  std::array<int64_t, 81> found;
  for (int64_t cell = 0; cell < cells.count(); ++cell) {
    const int number = cells.around(cell, found.data());
    if (common_label(cells, found.data(), number) != MIXED) continue;
    for (const int64_t* i = cells.begin(cell); i != cells.end(cell); ++i) {
      for (int k = 0; k < number && !near[*i]; ++k) {
        if (cells.label(found[k]) == label[*i]) continue;
        for (const int64_t* j = cells.begin(found[k]); j != cells.end(found[k]); ++j) {
          if (label[*j] != label[*i] && within(coords + *i * dim, coords + *j * dim, dim, limit, box)) {
            near[*i] = 1;
            break;
          }
        }
      }
    }
  }
}

}  // namespace lartpc
