"""From a config to the parts of a system: GAN, growth, encoder, classifier, vocoder, feature networks."""
