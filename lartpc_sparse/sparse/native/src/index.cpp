#include "index.h"

#include <algorithm>
#include <limits>
#include <stdexcept>
#include <string>

namespace lartpc {
namespace {

constexpr int AXIS_BITS[MAX_DIM + 1] = {0, 32, 24, 16, 12};
constexpr int64_t MARGIN = 64;  // as in sparse/coordinates.py
constexpr int64_t SENTINEL = std::numeric_limits<int64_t>::max();
constexpr int64_t MAX_ROWS = std::numeric_limits<int32_t>::max();

// Sorts keys, and rows with them where given, by the digits in which the keys differ (least significant first).
void radix_sort(std::vector<int64_t>& keys, std::vector<int32_t>* rows) {
  constexpr int DIGIT = 11;
  constexpr int64_t RADIX = 1 << DIGIT;
  const size_t n = keys.size();
  int64_t differs = 0;
  for (int64_t key : keys) differs |= key ^ keys[0];
  std::vector<int64_t> other(n);
  std::vector<int32_t> other_rows(rows ? n : 0);
  std::vector<size_t> begin(RADIX);
  for (int shift = 0; shift < 63; shift += DIGIT) {
    if (((differs >> shift) & (RADIX - 1)) == 0) continue;
    std::fill(begin.begin(), begin.end(), 0);
    for (int64_t key : keys) ++begin[(key >> shift) & (RADIX - 1)];
    size_t sum = 0;
    for (size_t& start : begin) {
      const size_t count = start;
      start = sum;
      sum += count;
    }
    for (size_t i = 0; i < n; ++i) {
      const size_t to = begin[(keys[i] >> shift) & (RADIX - 1)]++;
      other[to] = keys[i];
      if (rows) other_rows[to] = (*rows)[i];
    }
    keys.swap(other);
    if (rows) rows->swap(other_rows);
  }
}

// Division by a step, rounded down: a shift where the step is a power of two.
struct FloorDivision {
  int64_t by;
  int shift = -1;

  explicit FloorDivision(int64_t by_) : by(by_) {
    for (int bit = 0; bit < 31; ++bit) {
      if (by == int64_t{1} << bit) shift = bit;
    }
  }
  int64_t operator()(int64_t value) const {
    if (shift >= 0) return value >> shift;
    return value >= 0 ? value / by : -((by - 1 - value) / by);
  }
};

}  // namespace

KeyLayout::KeyLayout(int dim_) : dim(dim_), bits(0) {
  if (dim < 1 || dim > MAX_DIM) throw std::invalid_argument("1 to 4 axes are supported, not " + std::to_string(dim));
  bits = AXIS_BITS[dim];
}

std::unique_ptr<LartpcIndex> create_index(const int32_t* coords, const int64_t* offsets, int64_t n, int dim,
                                          int64_t events) {
  const KeyLayout layout(dim);
  const int64_t limit = layout.bias() - MARGIN;
  if (n > MAX_ROWS) throw std::length_error(std::to_string(n) + " voxels in one batch; at most 2147483647 fit");
  if (events > (int64_t{1} << (63 - dim * layout.bits))) throw std::out_of_range("too many events for a packed key");
  std::vector<int64_t> keys;
  keys.reserve(n + 1);
  bool rising = true;
  for (int64_t event = 0; event < events; ++event) {
    for (int64_t row = offsets[event]; row < offsets[event + 1]; ++row) {
      const int32_t* coord = coords + row * dim;
      for (int axis = 0; axis < dim; ++axis) {
        if (coord[axis] < -limit || coord[axis] >= limit) throw std::out_of_range("a coordinate does not fit");
      }
      keys.push_back(layout.key(event, coord));
      rising = rising && (row == 0 || keys[row - 1] < keys[row]);
    }
  }
  RowOrder order;
  if (!rising) {
    std::vector<int32_t> rows(n);
    for (int64_t row = 0; row < n; ++row) rows[row] = static_cast<int32_t>(row);
    radix_sort(keys, &rows);
    order = std::make_shared<const std::vector<int32_t>>(std::move(rows));
  }
  keys.push_back(SENTINEL);
  return std::unique_ptr<LartpcIndex>(new LartpcIndex{layout, events, std::move(keys), std::move(order)});
}

std::unique_ptr<LartpcIndex> coarsen(const LartpcIndex& fine, const int32_t* step) {
  const KeyLayout& layout = fine.layout;
  std::vector<int64_t> keys;
  keys.reserve(fine.size() / 2 + 1);
  std::vector<FloorDivision> divide;
  for (int axis = 0; axis < layout.dim; ++axis) divide.emplace_back(step[axis]);
  for (int64_t rank = 0; rank < fine.size(); ++rank) {
    int32_t coord[MAX_DIM];
    layout.unpack(fine.keys[rank], coord);
    for (int axis = 0; axis < layout.dim; ++axis) {
      coord[axis] = static_cast<int32_t>(divide[axis](coord[axis]));
    }
    const int64_t key = layout.key(layout.event(fine.keys[rank]), coord);
    if (keys.empty() || keys.back() != key) keys.push_back(key);
  }
  if (!std::is_sorted(keys.begin(), keys.end())) radix_sort(keys, nullptr);
  keys.erase(std::unique(keys.begin(), keys.end()), keys.end());
  keys.push_back(SENTINEL);
  return std::unique_ptr<LartpcIndex>(new LartpcIndex{layout, fine.events, std::move(keys), nullptr});
}

int64_t duplicates(const LartpcIndex& index, int64_t* first_row) {
  int64_t count = 0;
  for (int64_t rank = 1; rank < index.size(); ++rank) {
    if (index.keys[rank] != index.keys[rank - 1]) continue;
    if (count++ == 0) *first_row = index.row_of_rank ? (*index.row_of_rank)[rank - 1] : rank - 1;
  }
  return count;
}

void export_index(const LartpcIndex& index, int32_t* coords, int64_t* offsets) {
  int64_t event = 0;
  offsets[0] = 0;
  for (int64_t rank = 0; rank < index.size(); ++rank) {
    const int64_t row = index.row_of_rank ? (*index.row_of_rank)[rank] : rank;
    index.layout.unpack(index.keys[rank], coords + row * index.layout.dim);
    for (; event < index.layout.event(index.keys[rank]); ++event) offsets[event + 1] = rank;
  }
  for (; event < index.events; ++event) offsets[event + 1] = index.size();
}

}  // namespace lartpc
