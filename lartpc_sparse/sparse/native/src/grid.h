// Voxels as numbers of an image, as larcv files have them.
#pragma once

#include <cstdint>

namespace lartpc {

// See lartpc_voxel_coords. Throws for a number of axes or a size that is not served.
int64_t voxel_coords(const uint64_t* ids, int64_t n, const int64_t* size, int dim, bool first_axis_first,
                     int32_t* coords);

}  // namespace lartpc
