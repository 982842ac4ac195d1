"""Speech synthesis with the engines that packages ship, in this process and without the network."""
