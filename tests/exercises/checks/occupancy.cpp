#include <cstdio>

#include "checks/check.h"

int occupancy(int registers, int lds, int threads);

int main() {
  struct Kernel {
    const char* name;
    int registers, lds, threads, waves;
  };
  // Each limit and each rounding decides one of them.
  const Kernel kernels[] = {{"attention_kernel<32, 16, 1>", 90, 8192, 128, 4},
                            {"adamw_kernel<true>", 41, 0, 256, 8},
                            {"attention_kernel<64, 64, 4>", 248, 32768, 128, 1},
                            {"attention_kernel<64, 16, 1>", 108, 14336, 128, 2},
                            {"attention_kernel<32, 64, 4>", 218, 20480, 128, 2},
                            {"attention_kernel<128, 32, 4>", 229, 28672, 64, 1},
                            {"decode_kernel<16, 1, 256>", 72, 4224, 256, 7},
                            {"decode_kernel<32, 1, 256>", 73, 4160, 256, 6},
                            {"decode_kernel<8, 1, 512>", 84, 8704, 512, 5},
                            {"decode_kernel<32, 2, 512>", 71, 16512, 512, 6}};
  for (const Kernel& k : kernels) {
    const int waves = occupancy(k.registers, k.lds, k.threads);
    if (waves == k.waves) continue;
    std::printf("occupancy: %s: occupancy(%d, %d, %d) is %d, and should be %d\n", k.name, k.registers, k.lds,
                k.threads, waves, k.waves);
    return 1;
  }
  return exercise::finish(true);
}
