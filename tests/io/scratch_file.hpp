#pragma once

#include <stdlib.h>

#include <filesystem>
#include <string>

/// The name of a file in a folder of its own, which is gone with the object.
class scratch_file {
 public:
  scratch_file() {
    std::string name = (std::filesystem::temp_directory_path() / "kadoro-XXXXXX").string();
    folder_ = ::mkdtemp(name.data()) == nullptr ? std::string() : name;
  }
  scratch_file(scratch_file const&) = delete;
  scratch_file& operator=(scratch_file const&) = delete;
  ~scratch_file() {
    std::error_code ignored;
    if (!folder_.empty()) std::filesystem::remove_all(folder_, ignored);
  }
  std::string path() const { return folder_ + "/data"; }
  std::string folder() const { return folder_; }

 private:
  std::string folder_;
};
