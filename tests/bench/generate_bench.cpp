// Measures tokens per second of generation with a KV cache: the default model, several samples of one prompt.
//
//     generate_bench [SEQ] [TOKENS] [THREADS] [RUNS] [DEVICE] [PRESET] [SAMPLES] [DTYPE] [WEIGHTS] [TOP_K]
//
// The model is one that only generates, as `generate` makes it from a file. TOP_K 0 takes the likeliest token.
// Prints one JSON object: the median over RUNS prompts of one token. Each prompt is continued by TOKENS
// tokens in SAMPLES samples at a time, and the tokens of all samples count.
#include <algorithm>
#include <chrono>
#include <cstdio>
#include <cstdlib>
#include <string>
#include <vector>

#include "../model/weights_in_memory.h"
#include "generator.h"
#include "gpt_model.h"

int main(int argc, char** argv) {
  using namespace hipgpt;
  const auto argument = [&](int i, int otherwise) { return argc > i ? std::atoi(argv[i]) : otherwise; };
  const int S = argument(1, 32), tokens = argument(2, S - 1), threads = argument(3, 2),
            runs = argument(4, 21);
  const int samples = argument(7, 1);
  const std::string device_name = argc > 5 ? argv[5] : "cpu";
  ModelConfig c = ModelConfig::preset(argc > 6 ? argv[6] : "default");
  c.max_seq_len = S;
  const auto device = make_device(device_name, threads);
  const DType dtype = choose_dtype(argc > 8 ? argv[8] : "fp32", *device, c);
  const DType format = choose_weights(argc > 9 ? argv[9] : "fp32", *device, dtype);
  const int top_k = argument(10, 0);
  const Sampling sampling = {.top_k = top_k, .temperature = top_k > 0 ? 1.0 : 0.0};

  const auto host = make_device("cpu", 1);
  GPTModel source(*host, c);
  initialize(source, 1);
  const GPTModel model = weights_in_memory(source).model(*device, dtype, format);
  std::vector<double> speeds;
  for (int run = 0; run < runs; ++run) {
    const std::vector<int32_t> prompt = {run};
    const auto start = std::chrono::steady_clock::now();
    Generator generator(model, sampling, samples);
    generator.start(prompt);
    for (int i = 0; i < tokens; ++i) generator.next();
    speeds.push_back(samples * tokens /
                     std::chrono::duration<double>(std::chrono::steady_clock::now() - start).count());
  }
  std::sort(speeds.begin(), speeds.end());
  std::printf(
      "{\"what\": \"hipgpt_generate\", \"device\": \"%s\", \"threads\": %d, \"S\": %d, \"tokens\": %d, "
      "\"samples\": %d, \"tok_s\": %.0f}\n",
      device_name.c_str(), threads, S, tokens, samples, speeds[speeds.size() / 2]);
}
