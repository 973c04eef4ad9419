# Every library the project needs, each found with a message that names its packages when missing.

find_package(PkgConfig QUIET)
if(NOT PkgConfig_FOUND)
    message(FATAL_ERROR "pkg-config not found. Debian: pkg-config, Fedora: pkgconf-pkg-config, "
        "Homebrew: pkgconf")
endif()

# imatrix_require(TARGET PKGCONFIG DEBIAN FEDORA HOMEBREW)
function(imatrix_require target module debian fedora homebrew)
    pkg_check_modules(${target} QUIET IMPORTED_TARGET GLOBAL ${module})
    if(NOT ${target}_FOUND)
        message(FATAL_ERROR "${module} not found. Debian: ${debian}, Fedora: ${fedora}, "
            "Homebrew: ${homebrew}")
    endif()
    add_library(imatrix::${target} ALIAS PkgConfig::${target})
endfunction()

imatrix_require(zstd libzstd libzstd-dev libzstd-devel zstd)
imatrix_require(xxhash libxxhash libxxhash-dev xxhash-devel xxhash)
imatrix_require(pcre2 libpcre2-8 libpcre2-dev pcre2-devel pcre2)
imatrix_require(jansson jansson libjansson-dev jansson-devel jansson)
if(IMATRIX_TESTS)
    imatrix_require(cmocka cmocka libcmocka-dev libcmocka-devel cmocka)
endif()

find_package(OpenMP QUIET COMPONENTS C)
if(NOT OpenMP_C_FOUND)
    message(FATAL_ERROR "OpenMP not found. Debian: libgomp1 with gcc or libomp-dev with clang, "
        "Fedora: libgomp or libomp-devel, Homebrew: libomp")
endif()

# oneDNN has no pkg-config file in its 2.x packages: look for header and library.
find_path(DNNL_INCLUDE_DIR NAMES oneapi/dnnl/dnnl.h dnnl.h)
find_library(DNNL_LIBRARY NAMES dnnl)
if(NOT DNNL_INCLUDE_DIR OR NOT DNNL_LIBRARY)
    message(FATAL_ERROR "oneDNN (2.6 or newer) not found. Debian: libdnnl-dev, "
        "Fedora: onednn-devel, Homebrew: onednn")
endif()
add_library(imatrix::onednn UNKNOWN IMPORTED GLOBAL)
set_target_properties(imatrix::onednn PROPERTIES IMPORTED_LOCATION ${DNNL_LIBRARY}
    INTERFACE_INCLUDE_DIRECTORIES ${DNNL_INCLUDE_DIR})
