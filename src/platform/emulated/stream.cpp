// The host side: streams and events, capture into graphs, and launches.
//
// A call does its work before it returns, so streams and events have little to do except in a capture. A
// capture records the order of the calls and checks it as strictly as a GPU's runtime does.
#include <algorithm>
#include <chrono>
#include <cstdlib>
#include <cstring>
#include <functional>
#include <map>
#include <memory>
#include <mutex>
#include <set>
#include <string>
#include <thread>
#include <utility>
#include <vector>

#include "platform/emulated/emulator.h"
#include "platform/emulated/grid.h"
#include "platform/emulated/runtime.h"

using namespace hipgpt::emulated;
using Work = std::function<void()>;
using WorkList = std::shared_ptr<const std::vector<Work>>;

/// The dependencies of a point: how much of each stream's captured work must precede it.
using Progress = std::map<ihipStream_t*, int>;

/// Work that is recorded instead of run. The order of the calls respects every dependency, so the graph is a
/// list. The dependencies are only needed to check that the streams were forked and joined.
struct Capture {
  ihipStream_t* origin;
  hipStreamCaptureMode mode;
  std::thread::id thread;
  bool valid = true;
  std::vector<Work> work;
  std::map<ihipStream_t*, Progress> streams;
};

struct ihipStream_t {
  bool waits_for_null_stream;
  std::shared_ptr<Capture> capture;
};

struct ihipEvent_t {
  bool timing = true;
  bool recorded = false;
  std::chrono::steady_clock::time_point time{};
  std::shared_ptr<Capture> capture{};  ///< the capture that recorded it, if any
  Progress progress{};
};

struct ihipGraph {
  WorkList work;
};

struct hipGraphExec {
  WorkList work;
};

namespace {

/// Guards `captures`, streams and events.
std::mutex runtime_mutex;
std::set<std::shared_ptr<Capture>> captures;

bool active(const std::shared_ptr<Capture>& capture) {
  return capture != nullptr && captures.count(capture) != 0;
}

void end_capture(const std::shared_ptr<Capture>& capture) {
  for (auto& [stream, progress] : capture->streams) stream->capture = nullptr;
  captures.erase(capture);
}

bool all_joined(const Capture& capture) {
  const Progress& end = capture.streams.at(capture.origin);
  for (const auto& [stream, progress] : capture.streams) {
    const auto own = progress.find(stream);
    if (stream == capture.origin || own == progress.end()) continue;
    const auto seen = end.find(stream);
    if (seen == end.end() || seen->second < own->second) return false;
  }
  return true;
}

void merge(Progress& into, const Progress& other) {
  for (const auto& [stream, count] : other) into[stream] = std::max(into[stream], count);
}

/// Removes HIP_KERNEL_NAME and outer parentheses from hipLaunchKernelGGL's first argument.
std::string plain_name(std::string name) {
  constexpr const char* kWrapper = "HIP_KERNEL_NAME";
  if (name.rfind(kWrapper, 0) == 0) name.erase(0, std::strlen(kWrapper));
  if (name.size() > 2 && name.front() == '(' && name.back() == ')') name = name.substr(1, name.size() - 2);
  return name;
}

/// Dynamic shared memory that kernels may have, where more than kMaxSharedBytes was asked for.
std::map<const void*, size_t> dynamic_limits;

size_t dynamic_limit(const void* kernel) {
  std::lock_guard lock(runtime_mutex);
  const auto found = dynamic_limits.find(kernel);
  return found == dynamic_limits.end() ? kMaxSharedBytes : found->second;
}

bool launchable(const void* kernel, const dim3& grid, const dim3& block, size_t shared_bytes) {
  const uint64_t threads = uint64_t{block.x} * block.y * block.z;
  return grid.x > 0 && grid.y > 0 && grid.z > 0 && grid.x <= 0x7FFFFFFF && grid.y <= 0xFFFF &&
         grid.z <= 0xFFFF && block.x > 0 && block.y > 0 && block.z > 0 && threads <= kMaxBlockThreads &&
         shared_bytes <= dynamic_limit(kernel);
}

}  // namespace

namespace hipgpt::emulated {

hipError_t check_no_capture(bool relaxed_allows) {
  std::lock_guard lock(runtime_mutex);
  hipError_t error = hipSuccess;
  for (const std::shared_ptr<Capture>& capture : captures) {
    if (capture->mode == hipStreamCaptureModeRelaxed && relaxed_allows) continue;
    if (capture->mode == hipStreamCaptureModeThreadLocal && capture->thread != std::this_thread::get_id())
      continue;
    capture->valid = false;
    error = hipErrorStreamCaptureUnsupported;
  }
  return error;
}

hipError_t enqueue(hipStream_t stream, Work work) {
  {
    std::lock_guard lock(runtime_mutex);
    if (stream == nullptr) {
      for (const std::shared_ptr<Capture>& capture : captures) {
        if (!capture->origin->waits_for_null_stream) continue;
        capture->valid = false;
        return hipErrorStreamCaptureImplicit;
      }
    } else if (stream->capture != nullptr) {
      Capture& capture = *stream->capture;
      if (!capture.valid) return hipErrorStreamCaptureInvalidated;
      capture.work.push_back(std::move(work));
      ++capture.streams[stream][stream];
      return hipSuccess;
    }
  }
  work();
  return hipSuccess;
}

void launch(const char* name, const void* kernel, dim3 grid, dim3 block, size_t shared_bytes,
            hipStream_t stream, std::function<void()> body) {
  if (const char* error = std::getenv("HIPGPT_EMULATED_LAUNCH_ERROR")) {
    finish(static_cast<hipError_t>(std::atoi(error)));
    return;
  }
  if (!launchable(kernel, grid, block, shared_bytes)) {
    finish(hipErrorInvalidConfiguration);
    return;
  }
  Launch launch{plain_name(name), grid, block, shared_bytes, std::move(body)};
  finish(enqueue(stream, [launch = std::move(launch)] {
    run_grid(launch);
    check_device_memory(launch.kernel);
  }));
}

}  // namespace hipgpt::emulated

hipError_t hipFuncSetAttribute(const void* kernel, hipFuncAttribute attribute, int value) {
  if (kernel == nullptr || attribute != hipFuncAttributeMaxDynamicSharedMemorySize || value < 0 ||
      static_cast<size_t>(value) > kMaxDynamicBytes) {
    return finish(hipErrorInvalidValue);
  }
  std::lock_guard lock(runtime_mutex);
  dynamic_limits[kernel] = static_cast<size_t>(value);
  return hipSuccess;
}

hipError_t hipStreamCreateWithFlags(hipStream_t* stream, unsigned flags) {
  if (stream == nullptr || flags > hipStreamNonBlocking) return finish(hipErrorInvalidValue);
  *stream = new ihipStream_t{flags != hipStreamNonBlocking, nullptr};
  return hipSuccess;
}

hipError_t hipStreamCreate(hipStream_t* stream) {
  return hipStreamCreateWithFlags(stream, hipStreamDefault);
}

hipError_t hipStreamDestroy(hipStream_t stream) {
  if (stream == nullptr) return finish(hipErrorInvalidHandle);
  {
    std::lock_guard lock(runtime_mutex);
    if (stream->capture != nullptr) end_capture(std::shared_ptr(stream->capture));
  }
  delete stream;
  return hipSuccess;
}

hipError_t hipStreamSynchronize(hipStream_t stream) {
  if (stream == nullptr) return finish(check_no_capture(true));
  std::lock_guard lock(runtime_mutex);
  if (stream->capture == nullptr) return hipSuccess;
  stream->capture->valid = false;
  return finish(hipErrorStreamCaptureUnsupported);
}

hipError_t hipStreamQuery(hipStream_t stream) {
  return hipStreamSynchronize(stream);
}

hipError_t hipStreamWaitEvent(hipStream_t stream, hipEvent_t event, unsigned) {
  if (event == nullptr) return finish(hipErrorInvalidHandle);
  std::lock_guard lock(runtime_mutex);
  if (!active(event->capture)) return hipSuccess;  // already done
  if (stream == nullptr) return finish(hipErrorStreamCaptureImplicit);
  if (stream->capture != nullptr && stream->capture != event->capture)
    return finish(hipErrorStreamCaptureMerge);
  stream->capture = event->capture;
  merge(stream->capture->streams[stream], event->progress);
  return hipSuccess;
}

hipError_t hipEventCreateWithFlags(hipEvent_t* event, unsigned flags) {
  if (event == nullptr) return finish(hipErrorInvalidValue);
  *event = new ihipEvent_t{.timing = (flags & hipEventDisableTiming) == 0};
  return hipSuccess;
}

hipError_t hipEventCreate(hipEvent_t* event) {
  return hipEventCreateWithFlags(event, hipEventDefault);
}

hipError_t hipEventDestroy(hipEvent_t event) {
  if (event == nullptr) return finish(hipErrorInvalidHandle);
  delete event;
  return hipSuccess;
}

hipError_t hipEventRecord(hipEvent_t event, hipStream_t stream) {
  if (event == nullptr) return finish(hipErrorInvalidHandle);
  std::lock_guard lock(runtime_mutex);
  event->recorded = true;
  event->time = std::chrono::steady_clock::now();
  event->capture = stream == nullptr ? nullptr : stream->capture;
  event->progress = event->capture == nullptr ? Progress() : event->capture->streams[stream];
  return hipSuccess;
}

hipError_t hipEventQuery(hipEvent_t event) {
  if (event == nullptr) return finish(hipErrorInvalidHandle);
  std::lock_guard lock(runtime_mutex);
  return event->capture == nullptr ? hipSuccess : finish(hipErrorCapturedEvent);
}

hipError_t hipEventSynchronize(hipEvent_t event) {
  return hipEventQuery(event);
}

hipError_t hipEventElapsedTime(float* milliseconds, hipEvent_t start, hipEvent_t stop) {
  if (milliseconds == nullptr) return finish(hipErrorInvalidValue);
  for (hipEvent_t event : {start, stop})
    if (event == nullptr || !event->recorded || !event->timing || event->capture != nullptr)
      return finish(hipErrorInvalidHandle);
  *milliseconds = std::chrono::duration<float, std::milli>(stop->time - start->time).count();
  return hipSuccess;
}

hipError_t hipStreamBeginCapture(hipStream_t stream, hipStreamCaptureMode mode) {
  if (stream == nullptr) return finish(hipErrorStreamCaptureUnsupported);
  std::lock_guard lock(runtime_mutex);
  if (stream->capture != nullptr) return finish(hipErrorInvalidValue);
  stream->capture = std::make_shared<Capture>();
  stream->capture->origin = stream;
  stream->capture->mode = mode;
  stream->capture->thread = std::this_thread::get_id();
  stream->capture->streams[stream];
  captures.insert(stream->capture);
  return hipSuccess;
}

hipError_t hipStreamEndCapture(hipStream_t stream, hipGraph_t* graph) {
  if (stream == nullptr || graph == nullptr) return finish(hipErrorInvalidValue);
  *graph = nullptr;
  std::lock_guard lock(runtime_mutex);
  const std::shared_ptr<Capture> capture = stream->capture;
  if (capture == nullptr) return finish(hipErrorInvalidValue);
  if (capture->origin != stream) return finish(hipErrorStreamCaptureUnmatched);
  if (capture->mode != hipStreamCaptureModeRelaxed && capture->thread != std::this_thread::get_id())
    return finish(hipErrorStreamCaptureWrongThread);
  const bool joined = all_joined(*capture);
  end_capture(capture);
  if (!capture->valid) return finish(hipErrorStreamCaptureInvalidated);
  if (!joined) return finish(hipErrorStreamCaptureUnjoined);
  *graph = new ihipGraph{std::make_shared<const std::vector<Work>>(std::move(capture->work))};
  return hipSuccess;
}

hipError_t hipStreamIsCapturing(hipStream_t stream, hipStreamCaptureStatus* status) {
  if (status == nullptr) return finish(hipErrorInvalidValue);
  std::lock_guard lock(runtime_mutex);
  if (stream == nullptr || stream->capture == nullptr)
    *status = hipStreamCaptureStatusNone;
  else
    *status = stream->capture->valid ? hipStreamCaptureStatusActive : hipStreamCaptureStatusInvalidated;
  return hipSuccess;
}

hipError_t hipGraphInstantiateWithFlags(hipGraphExec_t* executable, hipGraph_t graph, unsigned long long) {
  if (executable == nullptr || graph == nullptr) return finish(hipErrorInvalidValue);
  *executable = new hipGraphExec{graph->work};
  return hipSuccess;
}

hipError_t hipGraphInstantiate(hipGraphExec_t* executable, hipGraph_t graph, hipGraphNode_t*, char* log,
                               size_t log_bytes) {
  if (log != nullptr && log_bytes > 0) *log = '\0';
  return hipGraphInstantiateWithFlags(executable, graph, 0);
}

hipError_t hipGraphLaunch(hipGraphExec_t executable, hipStream_t stream) {
  if (executable == nullptr) return finish(hipErrorInvalidValue);
  return finish(enqueue(stream, [work = executable->work] {
    for (const Work& node : *work) node();
  }));
}

hipError_t hipGraphGetNodes(hipGraph_t graph, hipGraphNode_t* nodes, size_t* count) {
  if (graph == nullptr || count == nullptr || nodes != nullptr) return finish(hipErrorInvalidValue);
  *count = graph->work->size();
  return hipSuccess;
}

hipError_t hipGraphDestroy(hipGraph_t graph) {
  if (graph == nullptr) return finish(hipErrorInvalidValue);
  delete graph;
  return hipSuccess;
}

hipError_t hipGraphExecDestroy(hipGraphExec_t executable) {
  if (executable == nullptr) return finish(hipErrorInvalidValue);
  delete executable;
  return hipSuccess;
}
