// Threads that share out numbered tasks, one number at a time.
#pragma once

#include <cstdint>
#include <functional>

namespace lartpc {

// Calls task(number, worker) once for every number in [0, count), on at most `threads` threads, the caller among them;
// worker < threads names the thread. Returns when all are done; rethrows the first exception. Calls must not nest.
void parallel_for(int64_t count, int threads, const std::function<void(int64_t, int)>& task);

}  // namespace lartpc
