#include "records/tensorboard.h"

#include <utility>
#include <vector>

#include "records/markdown.h"
#include "records/report.h"

namespace hipgpt {

namespace {

constexpr std::pair<const char*, const char*> kScalars[] = {{"loss", "train/loss"},
                                                            {"lr", "train/lr"},
                                                            {"grad_norm", "train/grad_norm"},
                                                            {"tokens_per_s", "train/tokens_per_s"},
                                                            {"val_loss", "val/loss"}};

}  // namespace

void TensorBoard::write(const JsonValue& record) {
  if (const JsonValue* run = record.find("run")) {
    return file_.text(first_step_, "run/settings", description_markdown(*run));
  }
  const int64_t step = record["step"].as_whole();
  if (record.find("sample")) {
    const auto text = record["prompt"].as_string() + record["sample"].as_string();
    return file_.text(step, "run/sample", markdown::code_block(text));
  }
  std::vector<EventFile::Scalar> scalars;
  for (const auto& [name, tag] : kScalars) {
    if (const JsonValue* number = record.find(name)) {
      scalars.push_back({tag, static_cast<float>(number->as_number())});
    }
  }
  file_.scalars(step, scalars);
}

}  // namespace hipgpt
