// An accelerator with two devices, to torch; what it keeps is in the CPU's memory, and the CPU computes.

#include <ATen/ATen.h>
#include <ATen/CPUGeneratorImpl.h>
#include <ATen/EmptyTensor.h>
#include <ATen/NativeFunctions.h>
#include <ATen/detail/PrivateUse1HooksInterface.h>
#include <ATen/native/CPUFallback.h>
#include <c10/core/impl/alloc_cpu.h>
#include <torch/library.h>

namespace {

using at::IntArrayRef;
using at::Tensor;
using c10::Device;
using c10::DeviceIndex;
using c10::Stream;
using MaybeTensor = std::optional<Tensor>;

constexpr auto STANDIN = c10::DeviceType::PrivateUse1;
constexpr DeviceIndex COUNT = 2;

thread_local DeviceIndex current = 0;

Device device_at(DeviceIndex index) {
  TORCH_CHECK(index < COUNT, "there is no standin:", int(index));
  return Device(STANDIN, index < 0 ? current : index);
}

struct Allocator final : c10::Allocator {
  c10::DataPtr allocate(size_t size) override {
    void* data = c10::alloc_cpu(size);
    return {data, data, &c10::free_cpu, Device(STANDIN, current)};
  }
  c10::DeleterFnPtr raw_deleter() const override { return &c10::free_cpu; }
  void copy_data(void* to, const void* from, size_t size) const override { default_copy_data(to, from, size); }
} allocator;
REGISTER_ALLOCATOR(STANDIN, &allocator)

// What is asked for is done at once: one stream is enough for a device, and nobody waits for an event.
struct Guard final : c10::impl::DeviceGuardImplInterface {
  c10::DeviceType type() const override { return STANDIN; }
  DeviceIndex deviceCount() const noexcept override { return COUNT; }
  Device getDevice() const override { return Device(STANDIN, current); }
  void setDevice(Device device) const override { current = device_at(device.index()).index(); }
  void uncheckedSetDevice(Device device) const noexcept override { current = device.index(); }
  Device exchangeDevice(Device device) const override {
    auto before = getDevice();
    setDevice(device);
    return before;
  }
  Stream getStream(Device device) const override { return Stream(Stream::DEFAULT, device_at(device.index())); }
  Stream getNewStream(Device device, int) const override { return getStream(device); }
  Stream exchangeStream(Stream stream) const override { return stream; }
  void record(void**, const Stream&, DeviceIndex, c10::EventFlag) const override {}
  void block(void*, const Stream&) const override {}
  void synchronizeDevice(DeviceIndex) const override {}
};
C10_REGISTER_GUARD_IMPL(PrivateUse1, Guard)

// Draws as the CPU does, from a state of its own and never the same numbers.
struct Generator final : at::CPUGeneratorImpl {
  explicit Generator(DeviceIndex index) : CPUGeneratorImpl(salted(c10::default_rng_seed_val)) {
    device_ = device_at(index);
    key_set_ = c10::DispatchKeySet(c10::DispatchKey::PrivateUse1);
  }
  void set_current_seed(uint64_t seed) override { CPUGeneratorImpl::set_current_seed(salted(seed)); }
  uint64_t current_seed() const override { return salted(CPUGeneratorImpl::current_seed()); }
  static uint64_t salted(uint64_t seed) { return seed ^ 0x5eed; }
};

at::Generator& generator_of(DeviceIndex index) {
  static std::array<at::Generator, COUNT> all{at::make_generator<Generator>(0), at::make_generator<Generator>(1)};
  return all[device_at(index).index()];
}

struct Hooks final : at::PrivateUse1HooksInterface {
  bool isBuilt() const override { return true; }
  bool isAvailable() const override { return true; }
  bool hasPrimaryContext(DeviceIndex) const override { return true; }
  DeviceIndex deviceCount() const override { return COUNT; }
  DeviceIndex getCurrentDevice() const override { return current; }
  void setCurrentDevice(DeviceIndex index) const override { current = device_at(index).index(); }
  DeviceIndex exchangeDevice(DeviceIndex index) const override {
    return std::exchange(current, device_at(index).index());
  }
  DeviceIndex maybeExchangeDevice(DeviceIndex index) const override { return exchangeDevice(index); }
  const at::Generator& getDefaultGenerator(DeviceIndex index) const override { return generator_of(index); }
  at::Generator getNewGenerator(DeviceIndex index) const override { return at::make_generator<Generator>(index); }
};

// What cannot fall back to the CPU: making tensors, views and copies.

constexpr c10::DispatchKeySet KEYS(c10::DispatchKey::PrivateUse1);

Tensor empty(IntArrayRef size, std::optional<at::ScalarType> dtype, std::optional<at::Layout>,
             std::optional<Device> device, std::optional<bool>, std::optional<at::MemoryFormat> format) {
  c10::DeviceGuard guard(*device);
  return at::detail::empty_generic(size, &allocator, KEYS, c10::dtype_or_default(dtype), format);
}

Tensor empty_strided(IntArrayRef size, IntArrayRef stride, std::optional<at::ScalarType> dtype,
                     std::optional<at::Layout>, std::optional<Device> device, std::optional<bool>) {
  c10::DeviceGuard guard(*device);
  return at::detail::empty_strided_generic(size, stride, &allocator, KEYS, c10::dtype_or_default(dtype));
}

const Tensor& resize(const Tensor& self, IntArrayRef size, std::optional<at::MemoryFormat> format) {
  c10::DeviceGuard guard(self.device());
  return at::native::resize_(self, size, format);
}

Tensor& set_storage(Tensor& self, at::Storage source, int64_t offset, IntArrayRef size, IntArrayRef stride) {
  c10::DeviceGuard guard(self.device());
  return at::native::set_storage_cpu_(self, std::move(source), offset, size, stride);
}

// The same memory, seen as a tensor of the CPU.
Tensor on_cpu(const Tensor& tensor) {
  if (!tensor.is_privateuseone()) return tensor;
  auto options = tensor.options().device(c10::kCPU);
  return at::from_blob(tensor.data_ptr(), tensor.sizes(), tensor.strides(), options);
}

MaybeTensor on_cpu(const MaybeTensor& tensor) {
  return tensor && tensor->defined() ? MaybeTensor(on_cpu(*tensor)) : std::nullopt;
}

Tensor copy_from(const Tensor& self, const Tensor& target, bool) {
  on_cpu(target).copy_(on_cpu(self));
  return target;
}

Tensor copy_from_and_resize(const Tensor& self, const Tensor& target) {
  return copy_from(self, target.resize_(self.sizes()), false);
}

at::Scalar local_scalar_dense(const Tensor& self) { return on_cpu(self).item(); }

// A parameter may be moved here and away and stay the same object, as with the accelerators that torch knows.
bool has_compatible_shallow_copy_type(const Tensor&, const Tensor& from) {
  return (from.is_cpu() || from.is_privateuseone()) && from.layout() == at::kStrided;
}

// Each backend brings its own.

Tensor convolution(const Tensor& x, const Tensor& weight, const MaybeTensor& bias, IntArrayRef stride,
                   IntArrayRef padding, IntArrayRef dilation, bool transposed, IntArrayRef more, int64_t groups) {
  return at::convolution(on_cpu(x), on_cpu(weight), on_cpu(bias), stride, padding, dilation, transposed, more,
                         groups).to(x.device());
}

using Three = std::tuple<Tensor, Tensor, Tensor>;

Three moved(const Three& tensors, Device device) {
  auto move = [&](const Tensor& tensor) { return tensor.defined() ? tensor.to(device) : tensor; };
  return {move(std::get<0>(tensors)), move(std::get<1>(tensors)), move(std::get<2>(tensors))};
}

Three convolution_backward(const Tensor& grad, const Tensor& x, const Tensor& weight, IntArrayRef stride,
                           IntArrayRef padding, IntArrayRef dilation, bool transposed, IntArrayRef more,
                           int64_t groups, std::array<bool, 3> mask) {
  auto bias = IntArrayRef(grad.sizes()[1]);
  return moved(at::convolution_backward(on_cpu(grad), on_cpu(x), on_cpu(weight), bias, stride, padding, dilation,
                                        transposed, more, groups, mask), x.device());
}

// Its schema does not tell that the running statistics are written to, so that the fallback forgets them.
Three batch_norm(const Tensor& x, const MaybeTensor& weight, const MaybeTensor& bias, const MaybeTensor& mean,
                 const MaybeTensor& var, bool training, double momentum, double eps) {
  return moved(at::native_batch_norm(on_cpu(x), on_cpu(weight), on_cpu(bias), on_cpu(mean), on_cpu(var), training,
                                     momentum, eps), x.device());
}

// Everything else.

void check_devices(const c10::OperatorHandle& op, const torch::jit::Stack& stack) {
  std::optional<Device> first;
  for (const auto& value : torch::jit::last(stack, op.schema().arguments().size())) {
    if (!value.isTensor() || !value.toTensor().defined()) continue;
    const auto& tensor = value.toTensor();
    if (tensor.dim() == 0 && tensor.is_cpu()) continue;
    TORCH_CHECK(first.value_or(tensor.device()) == tensor.device(),
                "Expected all tensors to be on the same device, but found at least two devices, ", *first, " and ",
                tensor.device(), "! (", op.schema().name(), ")");
    first = tensor.device();
  }
}

// Lends the state of the device to the generator of the CPU.
void draw(const c10::OperatorHandle& op, torch::jit::Stack* stack) {
  auto generator = generator_of(current);
  for (auto value = stack->end() - op.schema().arguments().size(); value != stack->end(); ++value) {
    if (value->isGenerator()) generator = std::exchange(*value, c10::IValue()).toGenerator();
  }
  auto cpu = at::detail::getDefaultCPUGenerator();
  auto kept = cpu.get_state();
  cpu.set_state(generator.get_state());
  at::native::cpu_fallback(op, stack, /*error_on_views=*/true);
  generator.set_state(cpu.get_state());
  cpu.set_state(kept);
}

void fall_back(const c10::OperatorHandle& op, torch::jit::Stack* stack) {
  check_devices(op, *stack);
  if (op.hasTag(at::Tag::nondeterministic_seeded)) return draw(op, stack);
  at::native::cpu_fallback(op, stack, /*error_on_views=*/true);
}

}  // namespace

TORCH_LIBRARY_IMPL(_, PrivateUse1, m) { m.fallback(torch::CppFunction::makeFromBoxedFunction<&fall_back>()); }

TORCH_LIBRARY_IMPL(aten, PrivateUse1, m) {
  m.impl("empty.memory_format", empty);
  m.impl("empty_strided", empty_strided);
  m.impl("as_strided", at::native::as_strided_tensorimpl);
  m.impl("view", at::native::view);
  m.impl("_reshape_alias", at::native::_reshape_alias);
  m.impl("resize_", resize);
  m.impl("set_.source_Tensor", at::native::set_tensor_);
  m.impl("set_.source_Storage", static_cast<Tensor& (*)(Tensor&, at::Storage)>(at::native::set_));
  m.impl("set_.source_Storage_storage_offset", set_storage);
  m.impl("_copy_from", copy_from);
  m.impl("_copy_from_and_resize", copy_from_and_resize);
  m.impl("_local_scalar_dense", local_scalar_dense);
  m.impl("_has_compatible_shallow_copy_type", has_compatible_shallow_copy_type);
  m.impl("convolution_overrideable", convolution);
  m.impl("convolution_backward_overrideable", convolution_backward);
  m.impl("native_batch_norm", batch_norm);
}

TORCH_LIBRARY(standin, m) {
  m.def("register_hooks", [] {
    static Hooks hooks;
    at::RegisterPrivateUse1HooksInterface(&hooks);
  });
  m.def("current_device", [] { return int64_t(current); });
  m.def("set_device", [](int64_t index) { current = device_at(index).index(); });
  m.def("manual_seed", [](int64_t seed, int64_t index) { generator_of(index).set_current_seed(seed); });
  m.def("get_rng_state", [](int64_t index) { return generator_of(index).get_state(); });
  m.def("set_rng_state", [](const Tensor& state, int64_t index) { generator_of(index).set_state(state); });
}
