// Batch normalisation with an activation over all rows, cut into pieces that threads share; see api.h.
#pragma once

#include <cstdint>

#include "kernels.h"

namespace lartpc {

// Of each channel.
struct NormStatistics {
  const double* scale;
  const double* shift;
  const double* mean;
  const double* rstd;
  double slope;
};

void norm_moments(int dtype, const NormRows& rows, double* mean, double* variance, int threads);
void norm_apply(int dtype, const NormRows& rows, const double* scale, const double* shift, double slope, void* y,
                int threads);
void norm_gradient(int dtype, const NormRows& rows, const NormStatistics& statistics, void* dx, double* grad_weight,
                   double* grad_bias, int threads);

}  // namespace lartpc
