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

void add(EventFile& file, const nlohmann::ordered_json& record, int64_t first_step) {
  if (record.contains("run"))
    return file.text(first_step, "run/settings", description_markdown(nlohmann::json(record["run"])));
  const int64_t step = record.at("step");
  if (record.contains("sample")) {
    const auto text = record.at("prompt").get<std::string>() + record.at("sample").get<std::string>();
    return file.text(step, "run/sample", markdown::code_block(text));
  }
  std::vector<EventFile::Scalar> scalars;
  for (const auto& [name, tag] : kScalars) {
    if (record.contains(name)) scalars.push_back({tag, record[name]});
  }
  file.scalars(step, scalars);
}

}  // namespace

void TensorBoard::write(const nlohmann::ordered_json& record) {
  if (!file_) return;
  try {
    add(*file_, record, first_step_);
  } catch (const Error& error) {
    progress_.warn(fmt::format("{}; the training goes on without it", error.what()));
    file_.reset();
  }
}

}  // namespace hipgpt
