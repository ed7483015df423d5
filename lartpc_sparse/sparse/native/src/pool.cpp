// A pool that is good to its neighbours: tasks are taken one by one, so a thread that lost its core holds up one task
// only, and an idle thread spins for as long as Python takes from one layer to the next before it sleeps.
#include "pool.h"

#include <pthread.h>
#include <unistd.h>

#include <atomic>
#include <chrono>
#include <condition_variable>
#include <exception>
#include <mutex>
#include <thread>
#include <vector>

namespace lartpc {
namespace {

inline void relax() {
#if defined(__x86_64__) || defined(__i386__)
  __builtin_ia32_pause();
#elif defined(__aarch64__)
  asm volatile("yield");
#endif
}

// Waking a thread up takes about as long: with a fifth of it, a training step of 10,000 voxels took 2 to 3 % longer.
constexpr std::chrono::microseconds PATIENCE{100};

// Waits for `done` without giving the core away; whether it came in time.
template <class Done>
bool spin_until(const Done& done) {
  constexpr int PAUSES = 32;  // between two looks at the clock
  const auto end = std::chrono::steady_clock::now() + PATIENCE;
  do {
    for (int pause = 0; pause < PAUSES; ++pause) {
      if (done()) return true;
      relax();
    }
  } while (std::chrono::steady_clock::now() < end);
  return done();
}

// One word tells the state of the current job: how many helpers are in it, whether more may enter, its number.
constexpr uint64_t ACTIVE = 0xffff, OPEN = 0x10000, GENERATION = 0x20000;

class Pool {
 public:
  void run(int64_t count, int threads, const std::function<void(int64_t, int)>& task) {
    std::lock_guard<std::mutex> one_job(job_mutex_);
    grow(threads - 1);
    task_ = &task;
    count_ = count;
    helpers_ = threads - 1;
    failure_ = nullptr;
    next_.store(0, std::memory_order_relaxed);
    {
      std::lock_guard<std::mutex> lock(mutex_);
      state_.store(((state_.load() / GENERATION + 1) * GENERATION) | OPEN, std::memory_order_release);
    }
    wake_.notify_all();
    work(0);
    finish();
    if (failure_) std::rethrow_exception(failure_);
  }

 private:
  void work(int worker) {
    try {
      for (int64_t n; (n = next_.fetch_add(1, std::memory_order_relaxed)) < count_;) (*task_)(n, worker);
    } catch (...) {
      std::lock_guard<std::mutex> lock(mutex_);
      if (!failure_) failure_ = std::current_exception();
      next_.store(count_, std::memory_order_relaxed);
    }
  }

  // Closes the job and waits for the helpers that are in it; those that have not woken up yet are not waited for.
  void finish() {
    state_.fetch_and(~OPEN, std::memory_order_acq_rel);
    const auto alone = [&] { return (state_.load(std::memory_order_acquire) & ACTIVE) == 0; };
    if (spin_until(alone)) return;
    std::unique_lock<std::mutex> lock(mutex_);
    done_.wait(lock, alone);
  }

  void grow(int helpers) {
    while (static_cast<int>(threads_.size()) < helpers) {
      int worker = static_cast<int>(threads_.size()) + 1;
      threads_.emplace_back([this, worker] { serve(worker); });
      threads_.back().detach();
    }
  }

  // Whether a job that this helper has not seen is open; then it is in it.
  bool enter(uint64_t& seen) {
    uint64_t state = state_.load(std::memory_order_acquire);
    while ((state & OPEN) && state / GENERATION != seen) {
      if (state_.compare_exchange_weak(state, state + 1, std::memory_order_acq_rel)) {
        seen = state / GENERATION;
        return true;
      }
    }
    return false;
  }

  void serve(int worker) {
    uint64_t seen = 0;
    for (;;) {
      if (!spin_until([&] { return enter(seen); })) {
        std::unique_lock<std::mutex> lock(mutex_);
        wake_.wait(lock, [&] { return enter(seen); });
      }
      if (worker <= helpers_) work(worker);
      uint64_t before = state_.fetch_sub(1, std::memory_order_acq_rel);
      if ((before & ACTIVE) == 1 && !(before & OPEN)) {
        std::lock_guard<std::mutex> lock(mutex_);
        done_.notify_one();
      }
    }
  }

  std::mutex job_mutex_, mutex_;
  std::condition_variable wake_, done_;
  std::vector<std::thread> threads_;
  std::atomic<uint64_t> state_{0};
  std::atomic<int64_t> next_{0};
  int helpers_ = 0;
  int64_t count_ = 0;
  const std::function<void(int64_t, int)>* task_ = nullptr;
  std::exception_ptr failure_;
};

// Never destroyed: its threads may outlive static destruction. A forked child has none of the threads, so it starts
// with a pool of its own.
std::atomic<Pool*> the_pool{nullptr};

void forget_pool() { the_pool.store(nullptr); }

Pool& pool() {
  static std::once_flag once;
  std::call_once(once, [] { pthread_atfork(nullptr, nullptr, forget_pool); });
  Pool* have = the_pool.load(std::memory_order_acquire);
  if (have) return *have;
  Pool* fresh = new Pool;
  if (the_pool.compare_exchange_strong(have, fresh)) return *fresh;
  delete fresh;
  return *have;
}

}  // namespace

void parallel_for(int64_t count, int threads, const std::function<void(int64_t, int)>& task) {
  if (threads > count) threads = static_cast<int>(count);
  if (threads <= 1) {
    for (int64_t n = 0; n < count; ++n) task(n, 0);
    return;
  }
  pool().run(count, threads, task);
}

}  // namespace lartpc
