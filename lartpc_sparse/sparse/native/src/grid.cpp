#include "grid.h"

#include <algorithm>
#include <array>
#include <limits>
#include <stdexcept>

namespace lartpc {
namespace {

constexpr int MAX_AXES = 4;

struct Plain {
  Plain() = default;
  explicit Plain(uint64_t of) : size(of) {}
  uint64_t quotient(uint64_t left) const { return left / size; }
  uint64_t size = 1;
};

__extension__ using Product = unsigned __int128;

// D. Lemire, O. Kaser, N. Kurz, "Faster remainder by direct computation" (2019): left / size is the upper half of
// left * ceil(2^64 / size), exactly as long as left * size < 2^64. A division takes ten times as long.
struct ByProduct {
  ByProduct() = default;
  explicit ByProduct(uint64_t of) : size(of), inverse(std::numeric_limits<uint64_t>::max() / of + 1) {}
  uint64_t quotient(uint64_t left) const {
    return static_cast<uint64_t>(static_cast<Product>(left) * inverse >> 64);
  }
  uint64_t size = 2, inverse = uint64_t{1} << 63;
};

template <int DIM, class Divisor>
int64_t split(const uint64_t* ids, int64_t n, const std::array<Divisor, MAX_AXES>& inner, uint64_t total,
              const std::array<int, MAX_AXES>& axes, int32_t* coords) {
  for (int64_t i = 0; i < n; ++i) {
    uint64_t left = ids[i];
    if (left >= total) return i;
    int32_t* voxel = coords + i * DIM;
    for (int k = 0; k + 1 < DIM; ++k) {
      const uint64_t above = inner[k].quotient(left);
      voxel[axes[k]] = static_cast<int32_t>(left - above * inner[k].size);
      left = above;
    }
    voxel[axes[DIM - 1]] = static_cast<int32_t>(left);
  }
  return n;
}

template <class Divisor>
int64_t split(const uint64_t* ids, int64_t n, const int64_t* size, int dim, const std::array<int, MAX_AXES>& axes,
              uint64_t total, int32_t* coords) {
  std::array<Divisor, MAX_AXES> inner;
  for (int k = 0; k < dim; ++k) inner[k] = Divisor(static_cast<uint64_t>(size[axes[k]]));
  switch (dim) {
    case 1: return split<1>(ids, n, inner, total, axes, coords);
    case 2: return split<2>(ids, n, inner, total, axes, coords);
    case 3: return split<3>(ids, n, inner, total, axes, coords);
    default: return split<4>(ids, n, inner, total, axes, coords);
  }
}

}  // namespace

int64_t voxel_coords(const uint64_t* ids, int64_t n, const int64_t* size, int dim, bool first_axis_first,
                     int32_t* coords) {
  if (dim < 1 || dim > MAX_AXES) throw std::invalid_argument("an image has 1 to 4 axes");
  std::array<int, MAX_AXES> axes{};
  Product total = 1;
  uint64_t longest = 1;
  bool divide = false;
  for (int k = 0; k < dim; ++k) {
    axes[k] = first_axis_first ? k : dim - 1 - k;
    if (size[k] < 1 || size[k] > std::numeric_limits<int32_t>::max())
      throw std::invalid_argument("an axis has 1 to 2^31 - 1 voxels");
    total *= static_cast<uint64_t>(size[k]);
    longest = std::max(longest, static_cast<uint64_t>(size[k]));
    divide = divide || size[k] == 1;
  }
  constexpr uint64_t LARGEST = std::numeric_limits<uint64_t>::max();
  if (total > LARGEST) throw std::invalid_argument("the voxels of the image cannot be numbered in 64 bits");
  const auto voxels = static_cast<uint64_t>(total);
  if (divide || total * longest > LARGEST) return split<Plain>(ids, n, size, dim, axes, voxels, coords);
  return split<ByProduct>(ids, n, size, dim, axes, voxels, coords);
}

}  // namespace lartpc
