// Residual addition and dropout: 12 bytes per element. Memory is the bound without dropout, and the generator
// (about 10 multiplications per element) with dropout.

#include "cpu/add_dropout.h"
#include "cpu/cpu_device.h"
#include "device/check.h"

namespace hipgpt::cpu {

void add_dropout(ThreadPool& threads, Tensor y, Tensor x, Tensor branch, const Dropout& dropout) {
  check::add_dropout(y, x, branch, dropout);
  with_elements(y, [&](auto element) {
    parallel_ranges(threads, branch.dim(0), rows_per_range(branch.dim(1)),
                    AddDropout<decltype(element)>(y, x, branch, dropout));
  });
}

}  // namespace hipgpt::cpu
