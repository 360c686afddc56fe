// A program that pretends to be compiled for extensions that no single processor has.
// tests/scripts/processor_test.sh expects it to report this before any of its code runs, even the constructor
// of a static object.
#include <cstdio>

#include "cli/processor.h"

namespace hipgpt {

constinit const ProcessorExtensions kCompiledFor = {.avx512f = true, .xop = true, .fma4 = true};

namespace {

struct Constructed {
  Constructed() { std::puts("a constructor ran"); }
} constructed;

}  // namespace
}  // namespace hipgpt

int main() {
  std::puts("main() ran");
}
