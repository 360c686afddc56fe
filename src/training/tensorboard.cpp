#include "training/tensorboard.h"

#include <fmt/format.h>

#include <utility>
#include <vector>

#include "error.h"
#include "training/markdown.h"
#include "training/report.h"

namespace hipgpt {

namespace {

constexpr std::pair<const char*, const char*> kScalars[] = {{"loss", "train/loss"},
                                                            {"lr", "train/lr"},
                                                            {"grad_norm", "train/grad_norm"},
                                                            {"tokens_per_s", "train/tokens_per_s"},
                                                            {"val_loss", "val/loss"}};

void add(EventFile& file, const JsonValue& record, int64_t first_step) {
  if (const JsonValue* run = record.find("run")) {
    return file.text(first_step, "run/settings", description_markdown(*run));
  }
  const int64_t step = record["step"].as_whole();
  if (record.find("sample")) {
    const auto text = record["prompt"].as_string() + record["sample"].as_string();
    return file.text(step, "run/sample", markdown::code_block(text));
  }
  std::vector<EventFile::Scalar> scalars;
  for (const auto& [name, tag] : kScalars) {
    if (const JsonValue* number = record.find(name)) {
      scalars.push_back({tag, static_cast<float>(number->as_number())});
    }
  }
  file.scalars(step, scalars);
}

}  // namespace

void TensorBoard::write(const JsonValue& record) {
  if (!file_) return;
  try {
    add(*file_, record, first_step_);
  } catch (const Error& error) {
    progress_.warn(fmt::format("{}; the training goes on without it", error.what()));
    file_.reset();
  }
}

}  // namespace hipgpt
