// A command line for check_against_transformers.py: the logits and the token ids of a Hugging Face folder.
#include <algorithm>
#include <fstream>
#include <iostream>
#include <nlohmann/json.hpp>

#include "huggingface.h"
#include "training_pass.h"

namespace {

using hipgpt::HuggingFaceModel;
using nlohmann::json;

json read_json(const std::string& path) {
  std::ifstream file(path);
  return json::parse(file);
}

void write(const std::string& path, std::string_view bytes) {
  std::ofstream file(path, std::ios::binary);
  file.write(bytes.data(), static_cast<std::streamsize>(bytes.size()));
  if (!file.flush()) throw std::runtime_error(path + ": cannot be written");
}

/// Writes the fp32 logits [T,V] of T ids, which are a JSON list.
void logits(const std::string& folder, const std::string& ids_path, const std::string& logits_path) {
  const HuggingFaceModel stored = HuggingFaceModel::open(folder);
  const auto device = hipgpt::make_device("cpu", 0);
  hipgpt::GPTModel model(*device, stored.weights.config);
  stored.weights.load_into(model);
  const auto ids = read_json(ids_path).get<std::vector<int32_t>>();
  hipgpt::TrainingPass pass(model, 1, static_cast<int>(ids.size()), hipgpt::TrainingPass::kForwardOnly);
  const std::vector<float> result = pass.logits(ids);
  write(logits_path, {reinterpret_cast<const char*>(result.data()), result.size() * sizeof(float)});
}

/// Writes a JSON list of id lists for a JSON list of texts. Decoding the ids must return the texts.
void encode(const std::string& folder, const std::string& texts_path, const std::string& ids_path) {
  const hipgpt::Tokenizer tokenizer = hipgpt::Tokenizer::load(folder);
  json all = json::array();
  for (const json& text : read_json(texts_path)) {
    const auto ids = tokenizer.encode(text.get<std::string>());
    if (tokenizer.decode(ids) != text.get<std::string>())
      throw std::runtime_error("decode() gives a different text");
    all.push_back(ids);
  }
  write(ids_path, all.dump());
}

int run(const std::vector<std::string>& args) {
  if (args.size() == 4 && args[0] == "logits") {
    logits(args[1], args[2], args[3]);
  } else if (args.size() == 4 && args[0] == "encode") {
    encode(args[1], args[2], args[3]);
  } else {
    std::cerr
        << "usage: huggingface_tool logits FOLDER IDS_JSON LOGITS | encode FOLDER TEXTS_JSON IDS_JSON\n";
    return 2;
  }
  return 0;
}

}  // namespace

int main(int argc, char** argv) try {
  return run({argv + 1, argv + argc});
} catch (const std::exception& error) {
  std::cerr << error.what() << '\n';
  return 1;
}
