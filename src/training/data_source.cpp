#include "training/data_source.h"

#include <fmt/format.h>

#include <algorithm>

#include "data/find_files.h"
#include "error.h"
#include "util/number_text.h"

namespace hipgpt {

DataSource::DataSource(Parameter parameter, const std::vector<std::string>& values,
                       const RunFolder& run_folder)
    : parameter_(name_of(parameter)), files_(find_files(parameter_, values, [&](const std::string& path) {
        return run_folder.is_artifact(path);
      })) {
  const auto first_text = std::ranges::find_if_not(files_, TokenFile::is_llmc);
  if (first_text == files_.end()) return;
  if (first_text != files_.begin() || std::ranges::any_of(files_, TokenFile::is_llmc)) {
    throw Error(
        fmt::format("{} {}: is a text, but other files are token files of llm.c; name files of one kind",
                    parameter_, *first_text));
  }
  try {
    text_.emplace(files_);
  } catch (const Error& error) {
    throw Error(fmt::format("{} {}", parameter_, error.what()));
  }
}

std::string DataSource::name() const {
  if (files_.size() == 1) return files_.front();
  return fmt::format("{} files of {}", grouped(static_cast<long long>(files_.size())), parameter_);
}

bool DataSource::needs_end_of_text() {
  if (text_->num_documents() > 1) return true;
  if (!facts_) facts_ = text_->read();
  return facts_->has_end_of_text;
}

uint64_t DataSource::hash(HashCache& hashes) {
  if (hash_) return *hash_;
  if (!is_text()) return *(hash_ = shards(0).sample_hash());
  const FileStamp stamp(files_);
  hash_ = hashes.get(stamp);
  if (!hash_) {
    facts_ = text_->read();
    hash_ = facts_->hash;
    hashes.put(stamp, *hash_);
  }
  return *hash_;
}

TokenShards DataSource::shards(uint64_t vocab_size) const {
  std::vector<TokenFile> files;
  for (const std::string& path : files_) files.push_back(TokenFile::open_llmc(path, vocab_size));
  return TokenShards(std::move(files));
}

}  // namespace hipgpt
