// Which voxels have one of another class nearby, in time proportional to the voxels.
#pragma once

#include <cstdint>

namespace lartpc {

// near[i] = 1 when label[i] >= 0 and a voxel j has label[j] >= 0, label[j] != label[i] and lies within `distance` of
// voxel i: Euclidean, or the longest difference along an axis for `box`. Throws when the image is too large for its
// cells to be numbered.
void near_other_class(const int32_t* coords, const int64_t* label, int64_t n, int dim, double distance, bool box,
                      uint8_t* near);

}  // namespace lartpc
