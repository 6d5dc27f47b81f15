"""The engine as a student writes it who follows the hand-out to the letter."""

from mytorch.utils import GradientBuffer


class Operation:
    def __init__(self, inputs, output, gradients_to_update, backward_operation):
        self.inputs = inputs
        self.output = output
        self.gradients_to_update = gradients_to_update
        self.backward_operation = backward_operation


class Autograd:
    _has_instance = False

    def __init__(self):
        if Autograd._has_instance:
            raise RuntimeError("Cannot create more than 1 Autograd instance")
        Autograd._has_instance = True
        self.gradient_buffer = GradientBuffer()
        self.operation_list = []

    def __del__(self):
        Autograd._has_instance = False

    def add_operation(self, inputs, output, gradients_to_update, backward_operation):
        if len(inputs) != len(gradients_to_update):
            raise ValueError("Number of inputs must match the number of gradients to update!")
        for array, gradient in zip(inputs, gradients_to_update, strict=True):
            if gradient is None:
                self.gradient_buffer.add_spot(array)
        self.operation_list.append(Operation(inputs, output, gradients_to_update, backward_operation))

    def backward(self, divergence):
        for index, operation in enumerate(reversed(self.operation_list)):
            grad_output = divergence if index == 0 else self.gradient_buffer.get_param(operation.output)
            gradients = operation.backward_operation(grad_output, *operation.inputs)
            if not isinstance(gradients, tuple):
                gradients = (gradients,)
            for array, gradient, external in zip(
                operation.inputs, gradients, operation.gradients_to_update, strict=True
            ):
                if external is None:
                    self.gradient_buffer.update_param(array, gradient)
                else:
                    external += gradient

    def zero_grad(self):
        self.gradient_buffer.clear()
        self.operation_list = []
