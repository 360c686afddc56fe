// What becomes of a process when a file that it has mapped loses its pages.
#pragma once

#include <cstddef>
#include <string>

namespace hipgpt {

/// A mapped file that another program shortens, or whose disk fails, raises SIGBUS when a lost page is
/// touched. From this call on, the process then ends with exit status 1 and one line on standard error that
/// begins with the program's name and names the file. Every other SIGBUS does what it did before.
void report_mapping_faults(const std::string& program);

/// Called by MappedFile: these bytes are those of this file, until they are forgotten.
void remember_mapping(const void* begin, size_t size, const std::string& path);
void forget_mapping(const void* begin);

}  // namespace hipgpt
