// Headers that MinkowskiEngine 0.5.4 uses and does not name: thrust brought them along before CUDA 12, and PyTorch's
// ATen/cuda/CUDAUtils.h the class Tensor before 2.0. build.sh has nvcc include this file first (NVCC_PREPEND_FLAGS),
// so that the sources stay as they are.
#pragma once
#ifdef __CUDACC__
#include <ATen/core/Tensor.h>
#include <thrust/execution_policy.h>
#include <thrust/reduce.h>
#include <thrust/remove.h>
#include <thrust/sort.h>
#include <thrust/unique.h>
#endif
