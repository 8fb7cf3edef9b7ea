"""What engineers and technicians use beside firmware and gateway."""
